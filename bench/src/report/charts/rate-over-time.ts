import type { Repetition, ResultRow } from "@millrace/load";
import { type FigureUnit, formatFigure } from "../../results/figure-format.ts";
import { html, type Markup } from "../html/markup.ts";
import { type ChartLine, plot } from "./line-chart.ts";
import { type SubjectStyles, swatch } from "./subject-style.ts";

const PANEL_HEIGHT = 76;
/** A last quarter below this share of the first one is pointed out. */
const COLLAPSE_SHARE = 0.7;
/** Fewer slices than this have no quarters. */
const SLICES_MIN = 8;
const RATE: FigureUnit = "per-second";

/** A panel a row, each to its own scale from zero: an average hides a collapse at the end, this does not. */
export function rateOverTime(
  rows: readonly ResultRow[],
  styles: SubjectStyles,
  heading: string,
): Markup | undefined {
  const panels = rows.flatMap((row) => panelOf(row, styles));
  if (panels.length === 0) return undefined;
  return html`<figure class="chart">
<figcaption><strong>Rate over time, ${heading}</strong> <span>Records/s in slices of the measured window, one line a repetition. Each panel has its own scale, from zero.</span></figcaption>
<div class="panels">${panels}</div>
</figure>
`;
}

function panelOf(row: ResultRow, styles: SubjectStyles): Markup[] {
  const style = styles.of(row);
  const lines = row.repetitions.flatMap((repetition, index): ChartLine[] => {
    const slices = slicesOf(repetition);
    return slices.length < 3
      ? []
      : [{ style: { ...style, dashes: "" }, thin: true, hint: `repetition ${index + 1}`, points: slices }];
  });
  if (lines.length === 0) return [];
  const rates = lines.flatMap(({ points }) => points.map(([, rate]) => rate));
  const seconds = lines.flatMap(({ points }) => points.map(([time]) => time));
  const top = Math.max(...rates);
  if (!(top > 0)) return [];
  const last = Math.max(...seconds);
  const drawing = {
    title: `${style.label}: rate over time`,
    x: { title: "s", ticks: [], position: (second: number) => second / last },
    y: {
      title: "records/s",
      ticks: [0, 1].map((at) => ({ at, label: "" })),
      position: (rate: number) => rate / top,
    },
    lines,
  };
  const least = Math.min(...rates);
  const fall = collapseOf(row.repetitions);
  return [
    html`<div class="panel">
<div class="panel-title">${swatch({ ...style, dashes: "" })} ${style.label}</div>
${plot(drawing, PANEL_HEIGHT)}
<div class="panel-note">${formatFigure(least, RATE)} to ${formatFigure(top, RATE)} over ${decimals(last)} s${
      fall === undefined
        ? undefined
        : html` <strong class="bad">fell to ${Math.round(fall * 100)} % of its first quarter</strong>`
    }</div>
</div>
`,
  ];
}

/** Seconds and records/s at the end of every slice; the first one is drawn from the beginning. */
function slicesOf({ series, seconds }: Repetition): [number, number][] {
  const slice = series.length > 0 && seconds > 0 ? seconds / series.length : 0;
  if (slice === 0) return [];
  const rates = series.map((records) => (Number.isFinite(records) ? records / slice : 0));
  return [rates[0] ?? 0, ...rates].map((rate, index) => [index * slice, rate]);
}

/** What is left in the last quarter of the worst repetition, where that is markedly less than in its first. */
function collapseOf(repetitions: readonly Repetition[]): number | undefined {
  const shares = repetitions
    .filter(({ series }) => series.length >= SLICES_MIN)
    .map(({ series }) => {
      const quarter = series.length >> 2;
      return sum(series.slice(-quarter)) / sum(series.slice(0, quarter));
    })
    .filter((share) => share < COLLAPSE_SHARE);
  return shares.length === 0 ? undefined : Math.min(...shares);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function decimals(value: number): string {
  return value.toFixed(value < 10 ? 1 : 0);
}
