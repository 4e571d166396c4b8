import type { LatencyResult } from "@millrace/load";
import { decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";

/** A latency distribution as points to draw. */
export interface PercentileCurve {
  /** Quantiles, 0..1, and milliseconds. The last point is the maximum. */
  readonly points: readonly (readonly [quantile: number, ms: number])[];
  readonly count: number;
  /** Said where the histograms could not be read, and the points are the few percentiles of the table. */
  readonly problem?: string;
}

const POINTS_PER_NINE = 20;

/** Puts the latencies of several repetitions together. */
export function percentileCurve(latencies: readonly LatencyResult[]): PercentileCurve {
  const count = latencies.reduce((sum, latency) => sum + latency.count, 0);
  try {
    return { points: pointsOf(merge(latencies)), count };
  } catch (error) {
    const problem = `histogram unreadable (${(error as Error).message}); drawn from the percentiles of the table`;
    return { points: latencies.slice(0, 1).flatMap(coarsePoints), count, problem };
  }
}

interface Merged {
  readonly histogram: Histogram;
  /** What one step of the histogram's integers is worth. */
  readonly msPerStep: number;
}

function merge(latencies: readonly LatencyResult[]): Merged {
  let merged: Merged | undefined;
  for (const latency of latencies) {
    const histogram = decodeFromCompressedBase64(latency.histogram, 64);
    if (histogram.totalCount === 0 || histogram.maxValue === 0) continue;
    if (merged === undefined) {
      // The document says milliseconds, the histogram counts in steps of its own: the maximum is known in both.
      merged = { histogram, msPerStep: latency.max / histogram.maxValue };
    } else {
      merged.histogram.add(histogram);
    }
  }
  if (merged === undefined) throw new Error("it holds no values");
  return merged;
}

function pointsOf({ histogram, msPerStep }: Merged): [number, number][] {
  const points: [number, number][] = [];
  const nines = Math.log10(histogram.totalCount);
  for (let step = 0; step <= nines * POINTS_PER_NINE; step++) {
    const quantile = 1 - 10 ** (-step / POINTS_PER_NINE);
    points.push([quantile, histogram.getValueAtPercentile(quantile * 100) * msPerStep]);
  }
  points.push([1 - 1 / histogram.totalCount, histogram.maxValue * msPerStep]);
  return points;
}

function coarsePoints({ count, p50, p90, p99, p999, max }: LatencyResult): [number, number][] {
  const points: [number, number][] = [
    [0.5, p50],
    [0.9, p90],
    [0.99, p99],
    [0.999, p999],
    [1 - 1 / Math.max(count, 10_000), max],
  ];
  return points.filter(([, ms]) => Number.isFinite(ms));
}
