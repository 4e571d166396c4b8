import { decimal, html, type Markup } from "../html/markup.ts";
import type { Axis } from "./axis.ts";
import { type SubjectStyle, swatch } from "./subject-style.ts";

/** Lines over two axes, with the name of each at its end and in a legend. */
export interface LineChart {
  readonly title: string;
  /** What is drawn, and what to know about it. */
  readonly caption: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly ChartLine[];
}

export interface ChartLine {
  readonly style: SubjectStyle;
  /** Instead of the style's own label. */
  readonly label?: string;
  /** Shown under the mouse. */
  readonly hint: string;
  /** Values, not positions. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** A dot at each point. */
  readonly dots?: boolean;
  readonly thin?: boolean;
}

const PLOT_HEIGHT = 260;
const LABEL_HEIGHT = 15;
/** The inner picture is stretched to whatever room the page has; text and strokes are not. */
const CANVAS = 1000;

export function lineChart(chart: LineChart): Markup {
  return html`<figure class="chart">
<figcaption><strong>${chart.title}</strong> <span>${chart.caption}</span></figcaption>
<div class="axis-title">${chart.y.title}</div>
<div class="plot">${plot(chart, PLOT_HEIGHT)}${endLabels(chart)}</div>
<div class="axis-title x">${chart.x.title}</div>
${legend(chart.lines)}
</figure>
`;
}

/** The plot alone, as wide as its container. */
export function plot(chart: Pick<LineChart, "title" | "x" | "y" | "lines">, height: number): Markup {
  const { x, y, lines } = chart;
  return html`<svg class="lines" width="100%" height="${height}" role="img" aria-label="${chart.title}">
${y.ticks.map(
  ({ at, label }) =>
    html`<line class="grid" x1="0" x2="100%" y1="${percent(1 - at)}" y2="${percent(1 - at)}"/>${
      label === "" ? undefined : html`<text class="y" x="-6" y="${percent(1 - at)}" dy="4">${label}</text>`
    }`,
)}
${x.ticks.map(
  ({ at, label }, index) =>
    html`<line class="grid" x1="${percent(at)}" x2="${percent(at)}" y1="0" y2="100%"/>${
      label === ""
        ? undefined
        : html`<text class="x${index === 0 ? " first" : ""}" x="${percent(at)}" y="100%" dy="17">${label}</text>`
    }`,
)}
<svg width="100%" height="100%" viewBox="0 0 ${CANVAS} ${CANVAS}" preserveAspectRatio="none">
${lines.map((line) => path(line, x, y))}
</svg>
${lines.map((line) => (line.dots === true ? dots(line, x, y) : undefined))}
</svg>`;
}

function path({ points, style, hint, thin }: ChartLine, x: Axis, y: Axis): Markup {
  const steps = points.map(
    ([a, b], index) =>
      `${index === 0 ? "M" : "L"}${decimal(x.position(a) * CANVAS)} ${decimal((1 - y.position(b)) * CANVAS)}`,
  );
  return html`<path class="${style.colourClass}${thin === true ? " thin" : ""}" d="${steps.join("")}" stroke-dasharray="${style.dashes}"><title>${hint}</title></path>
`;
}

function dots({ points, style }: ChartLine, x: Axis, y: Axis): readonly Markup[] {
  return points.map(
    ([a, b]) =>
      html`<circle class="${style.colourClass}" cx="${percent(x.position(a))}" cy="${percent(1 - y.position(b))}" r="3.5"/>`,
  );
}

/** Names at the right edge, at the height where their lines end, moved apart where they would lie on each other. */
function endLabels({ lines, y }: LineChart): Markup | undefined {
  const wanted = lines
    .filter(({ points }) => points.length > 0)
    .map((line) => ({ line, top: (1 - y.position(line.points.at(-1)?.[1] ?? 0)) * PLOT_HEIGHT }))
    .sort((a, b) => a.top - b.top);
  const room = PLOT_HEIGHT + LABEL_HEIGHT;
  if (wanted.length * LABEL_HEIGHT > room) return undefined;
  let previous = -LABEL_HEIGHT;
  const tops = wanted.map(({ top }) => {
    previous = Math.max(previous + LABEL_HEIGHT, top);
    return previous;
  });
  let below = room;
  for (let index = tops.length - 1; index >= 0; index--) {
    below = Math.min(below - LABEL_HEIGHT, tops[index] ?? 0);
    tops[index] = below;
  }
  return html`<div class="ends" aria-hidden="true">${wanted.map(
    ({ line }, index) =>
      html`<span class="${line.style.colourClass}" style="top: ${decimal(tops[index] ?? 0)}px">${labelOf(line)}</span>`,
  )}</div>`;
}

function legend(lines: readonly ChartLine[]): Markup {
  return html`<ul class="legend">${lines.map((line) => html`<li>${swatch(line.style)} ${labelOf(line)}</li>`)}</ul>`;
}

function labelOf(line: ChartLine): string {
  return line.label ?? line.style.label;
}

function percent(share: number): string {
  return `${decimal(share * 100)}%`;
}
