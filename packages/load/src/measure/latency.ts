import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

/** Milliseconds. */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const MICROSECONDS = 1000;
/** Ten minutes: nothing that is measured waits longer. What does counts as that. */
const LATENCY_MS_MAX = 600_000;
/** Cells are found with 32-bit shifts: in nanoseconds that is a second. */
const STEPS_MAX = 2 ** 30;
const SIGNIFICANT_DIGITS = 3;
/** An hdr histogram of three digits has cells of one step below 2,048, and 1,024 cells for each doubling above. */
const HALF_CELLS = 1024;
const LINEAR_CELLS = 2 * HALF_CELLS;
const LINEAR_BITS = 11;

/**
 * Latencies with three significant digits, from a microsecond (or another step, `stepsPerMs`) up. Recording counts into the
 * cells of an hdr histogram with two shifts and no call, at a tenth of what the library takes; the histogram itself is made when
 * it is asked for, and is the same one.
 */
export class LatencyRecorder {
  readonly #stepsPerMs: number;
  readonly #stepsMax: number;
  readonly #cells: Float64Array;
  #count = 0;

  constructor(stepsPerMs: number = MICROSECONDS) {
    this.#stepsPerMs = stepsPerMs;
    this.#stepsMax = Math.min(LATENCY_MS_MAX * stepsPerMs, STEPS_MAX);
    this.#cells = new Float64Array(cellOf(this.#stepsMax) + 1);
  }

  get count(): number {
    return this.#count;
  }

  record(ms: number): void {
    this.recordMany(ms, 1);
  }

  /** So many records with the same latency. */
  recordMany(ms: number, count: number): void {
    const steps = ms * this.#stepsPerMs + 0.5;
    const cell = cellOf(steps < 1 ? 1 : steps > this.#stepsMax ? this.#stepsMax : steps | 0);
    this.#cells[cell] = (this.#cells[cell] as number) + count;
    this.#count += count;
  }

  reset(): void {
    this.#cells.fill(0);
    this.#count = 0;
  }

  summary(): LatencySummary {
    return summaryOf(this.#histogram(), this.#stepsPerMs);
  }

  /** The hdr histogram, in steps: V2, compressed, base64. */
  encode(): string {
    return encodeIntoCompressedBase64(this.#histogram());
  }

  #histogram(): Histogram {
    const histogram = newHistogram(this.#stepsMax);
    this.#cells.forEach((count, cell) => {
      if (count > 0) histogram.recordValueWithCount(stepsOf(cell), count);
    });
    return histogram;
  }
}

/** The sum of histograms in microseconds as `encode` made them. */
export function mergeLatencies(encoded: readonly string[]): { summary: LatencySummary; histogram: string } {
  const sum = newHistogram(LATENCY_MS_MAX * MICROSECONDS);
  for (const text of encoded) sum.add(decodeFromCompressedBase64(text));
  return { summary: summaryOf(sum, MICROSECONDS), histogram: encodeIntoCompressedBase64(sum) };
}

function newHistogram(stepsMax: number): Histogram {
  return build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: stepsMax,
    numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
  });
}

function summaryOf(histogram: Histogram, stepsPerMs: number): LatencySummary {
  const at = (percentile: number): number =>
    histogram.totalCount === 0 ? 0 : histogram.getValueAtPercentile(percentile) / stepsPerMs;
  return {
    count: histogram.totalCount,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: at(100),
  };
}

/** `steps` is an integer, 0..2^30. */
function cellOf(steps: number): number {
  if (steps < LINEAR_CELLS) return steps;
  const shift = 32 - LINEAR_BITS - Math.clz32(steps);
  return shift * HALF_CELLS + (steps >>> shift);
}

/** The lowest value of a cell, which the histogram puts into the same one. */
function stepsOf(cell: number): number {
  if (cell < LINEAR_CELLS) return cell;
  const shift = Math.floor(cell / HALF_CELLS) - 1;
  return (cell - shift * HALF_CELLS) << shift;
}
