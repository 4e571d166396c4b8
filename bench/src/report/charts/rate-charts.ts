import type { ResultRow } from "@millrace/load";
import {
  latencyKindsOf,
  latencyMetric,
  latencyTitle,
  mainRate,
  percentileTitle,
  spreadOfMetric,
} from "../../results/metrics.ts";
import { RATE_PARAMETER } from "../../results/row-identity.ts";
import type { Markup } from "../html/markup.ts";
import { type Axis, logarithmicAxis } from "./axis.ts";
import { type ChartLine, lineChart } from "./line-chart.ts";
import type { SubjectStyles } from "./subject-style.ts";

/**
 * What happens when more is offered: rate reached over rate offered, and percentiles over rate offered. Rows are of
 * one case and one durability; subjects that ran at one rate alone have no line.
 */
export function rateCharts(rows: readonly ResultRow[], styles: SubjectStyles, heading: string): Markup[] {
  const ladders = laddersOf(rows, styles);
  if (ladders.length === 0) return [];
  const offered = ladders.flatMap(({ steps }) => steps.map(({ rate }) => rate));
  const x = logarithmicAxis("records/s offered", Math.min(...offered), Math.max(...offered), short);
  const reached = ladders.map((ladder) => lineOf(ladder, (row) => mainRate(row)?.median, "reached"));
  const charts = [
    chartOf(
      `Rate reached, ${heading}`,
      "Medians. A line that bends has reached its limit.",
      reached,
      (most, least) => logarithmicAxis("records/s", least, most, short),
    ),
  ];
  for (const kind of latencyKindsOf(rows)) {
    for (const percentile of ["p50", "p99"] as const) {
      const metric = latencyMetric(kind, percentile);
      const title = `${percentileTitle(percentile)} ${latencyTitle(kind)} against rate, ${heading}`;
      const lines = ladders.map((ladder) =>
        lineOf(ladder, (row) => spreadOfMetric(row, metric)?.median, percentileTitle(percentile)),
      );
      charts.push(chartOf(title, "Medians.", lines, (most, least) => logarithmicAxis("ms", least, most)));
    }
  }
  return charts.flat();

  function chartOf(
    title: string,
    caption: string,
    all: readonly ChartLine[],
    axis: (most: number, least: number) => Axis,
  ): Markup[] {
    const lines = all.filter(({ points }) => points.length > 1);
    const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
    if (values.length === 0) return [];
    return [lineChart({ title, caption, x, y: axis(Math.max(...values), Math.min(...values)), lines })];
  }
}

/** One subject at several rates. */
interface Ladder {
  readonly style: ChartLine["style"];
  readonly steps: readonly { readonly rate: number; readonly row: ResultRow }[];
}

function laddersOf(rows: readonly ResultRow[], styles: SubjectStyles): Ladder[] {
  const ladders = new Map<string, { style: ChartLine["style"]; steps: Map<number, ResultRow> }>();
  for (const row of rows) {
    const rate = row.parameters[RATE_PARAMETER];
    if (typeof rate !== "number" || rate <= 0 || row.repetitions.length === 0) continue;
    const style = styles.of(row);
    const ladder = ladders.get(style.label) ?? { style, steps: new Map<number, ResultRow>() };
    ladder.steps.set(rate, row);
    ladders.set(style.label, ladder);
  }
  return [...ladders.values()]
    .filter(({ steps }) => steps.size > 1)
    .map(({ style, steps }) => ({
      style,
      steps: [...steps].sort(([a], [b]) => a - b).map(([rate, row]) => ({ rate, row })),
    }));
}

function lineOf(ladder: Ladder, figure: (row: ResultRow) => number | undefined, what: string): ChartLine {
  const points = ladder.steps.flatMap(({ rate, row }): [number, number][] => {
    const value = figure(row);
    return value === undefined || !(value > 0) ? [] : [[rate, value]];
  });
  return { style: ladder.style, points, dots: true, hint: `${ladder.style.label}: ${what}` };
}

/** `1 k`, `50 k`, `2 M` */
function short(value: number): string {
  const [divisor, prefix] = value >= 1e6 ? [1e6, " M"] : value >= 1000 ? [1000, " k"] : [1, ""];
  return `${Number((value / divisor).toPrecision(3))}${prefix}`;
}
