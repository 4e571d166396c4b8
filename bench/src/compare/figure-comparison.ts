import type { ResultRow } from "@millrace/load";
import type { FigureUnit } from "../results/figure-format.ts";
import { type Metric, metricsOf, spreadOfMetric } from "../results/metrics.ts";

/** Median and range of a figure; what is left of the repetitions. */
export interface FigureRange {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly repetitions: number;
}

/** One figure of a row. */
export interface Figure {
  readonly metric: Metric;
  readonly range: FigureRange;
}

/** better and worse: the ranges of the two do not overlap. unknown: one of them has a single repetition. */
export type Judgement = "better" | "worse" | "changed" | "within noise" | "unknown";

/** The same figure of two runs. */
export interface FigureComparison {
  readonly metric: Metric;
  readonly before: FigureRange;
  readonly after: FigureRange;
  /** After over before, of medians. */
  readonly ratio: number;
  readonly judgement: Judgement;
}

/** What a row has measured. */
export function figuresOf(row: ResultRow): Figure[] {
  return metricsOf(row).flatMap((metric) => {
    const spread = spreadOfMetric(row, metric);
    if (spread === undefined) return [];
    const { median, min, max, samples } = spread;
    return [{ metric, range: { median, min, max, repetitions: samples.length } }];
  });
}

/** Figures that both have. */
export function compareFigures(before: readonly Figure[], after: readonly Figure[]): FigureComparison[] {
  return before.flatMap(({ metric, range }) => {
    const other = after.find((figure) => figure.metric.name === metric.name);
    if (other === undefined) return [];
    return [
      {
        metric,
        before: range,
        after: other.range,
        ratio: ratioOf(range, other.range),
        judgement: judge(metric, range, other.range),
      },
    ];
  });
}

/**
 * Whether a figure has fallen by more than `share` allows: a rate below that share of what it was, or a p50 or p99
 * above its inverse. Percentiles further out, CPU and memory do not decide. A latency within the noise does not either:
 * few repetitions of a tail swing widely.
 */
export function hasFallen({ metric, ratio, judgement }: FigureComparison, share: number): boolean {
  if (metric.better === "none" || !DECIDING_UNITS.includes(metric.unit)) return false;
  if (metric.better === "higher") return ratio < share;
  if (metric.name.endsWith(".p999")) return false;
  return 1 / ratio < share && judgement !== "within noise";
}

const DECIDING_UNITS: readonly FigureUnit[] = ["per-second", "ms"];

/** Infinite where there was nothing before; 1 where there is nothing still. */
function ratioOf(before: FigureRange, after: FigureRange): number {
  return after.median === before.median ? 1 : after.median / before.median;
}

/** Baselines are rounded, and nobody can do anything with less. */
const NEGLIGIBLE = 0.005;

function judge(metric: Metric, before: FigureRange, after: FigureRange): Judgement {
  if (before.repetitions < 2 || after.repetitions < 2) return "unknown";
  const negligible = Math.abs(ratioOf(before, after) - 1) < NEGLIGIBLE;
  if (negligible || (after.min <= before.max && before.min <= after.max)) return "within noise";
  if (metric.better === "none") return "changed";
  return after.median > before.median === (metric.better === "higher") ? "better" : "worse";
}
