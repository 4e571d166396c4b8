import type { LatencyResult, ResultRow } from "@millrace/load";
import { formatFigure } from "../../results/figure-format.ts";
import { type LatencyKind, latencyKindsOf, latencyTitle } from "../../results/metrics.ts";
import type { Markup } from "../html/markup.ts";
import { logarithmicAxis, percentileAxis } from "./axis.ts";
import { type ChartLine, lineChart } from "./line-chart.ts";
import { percentileCurve } from "./percentile-curve.ts";
import type { SubjectStyles } from "./subject-style.ts";

/** One chart for each place where the rows took latencies; none where they took none. */
export function percentileCharts(
  rows: readonly ResultRow[],
  styles: SubjectStyles,
  heading: string,
): Markup[] {
  return latencyKindsOf(rows).flatMap((kind) => percentileChart(rows, kind, styles, heading));
}

function percentileChart(
  rows: readonly ResultRow[],
  kind: LatencyKind,
  styles: SubjectStyles,
  heading: string,
): Markup[] {
  const problems: string[] = [];
  const lines = rows.flatMap((row): ChartLine[] => {
    const latencies = latenciesOf(row, kind);
    if (latencies.length === 0) return [];
    const style = styles.of(row);
    const curve = percentileCurve(latencies);
    if (curve.problem !== undefined) problems.push(`${style.label}: ${curve.problem}.`);
    const points = curve.points.filter(([, ms]) => ms > 0);
    const hint = `${style.label}: ${curve.count} latencies, largest ${formatFigure(points.at(-1)?.[1], "ms")}`;
    return points.length === 0 ? [] : [{ style, points, hint }];
  });
  if (lines.length === 0) return [];
  const ms = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const last = Math.max(...lines.map(({ points }) => points.at(-1)?.[0] ?? 0));
  const chart = {
    title: `Latency ${latencyTitle(kind)}, ${heading}`,
    caption: ["All repetitions together; both axes are logarithmic.", ...problems].join(" "),
    x: percentileAxis("percentile", -Math.log10(1 - last)),
    y: logarithmicAxis("ms", smallest(ms), largest(ms)),
    lines,
  };
  return [lineChart(chart)];
}

function latenciesOf(row: ResultRow, kind: LatencyKind): LatencyResult[] {
  return row.repetitions
    .map((repetition) => repetition[kind])
    .filter((latency): latency is LatencyResult => latency !== undefined);
}

function smallest(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}
