import { build, type Histogram } from "hdr-histogram-js";

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
/** Ten minutes: nothing that is measured waits longer. */
const LATENCY_MS_MAX = 600_000;

/** Latencies with three significant digits, from a microsecond (or another step, `stepsPerMs`) up. */
export class LatencyRecorder {
  readonly #stepsPerMs: number;
  readonly #stepsMax: number;
  readonly #histogram: Histogram;

  constructor(stepsPerMs: number = MICROSECONDS) {
    this.#stepsPerMs = stepsPerMs;
    this.#stepsMax = LATENCY_MS_MAX * stepsPerMs;
    this.#histogram = build({
      bitBucketSize: 64,
      lowestDiscernibleValue: 1,
      highestTrackableValue: this.#stepsMax,
      numberOfSignificantValueDigits: 3,
    });
  }

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(this.#stepsMax, Math.max(1, Math.round(ms * this.#stepsPerMs))));
  }

  reset(): void {
    this.#histogram.reset();
  }

  summary(): LatencySummary {
    const histogram = this.#histogram;
    const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / this.#stepsPerMs;
    return {
      count: histogram.totalCount,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: histogram.maxValue / this.#stepsPerMs,
    };
  }
}
