import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 50;
const WINDOW_MS = 10_000;

export interface EventLoopDelayMs {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How late the timers of this thread are. Does not keep the process alive. */
export class EventLoopDelay {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;
  #last: EventLoopDelayMs | undefined;

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      this.#last = this.#read();
      this.#histogram.reset();
    }, WINDOW_MS);
    this.#timer.unref();
  }

  /** Of the last ten seconds that are over; in the first ones of those so far. */
  get delayMs(): EventLoopDelayMs {
    return this.#last ?? this.#read();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  #read(): EventLoopDelayMs {
    if (this.#histogram.count === 0) return { p50: 0, p99: 0, max: 0 };
    return {
      p50: lateMs(this.#histogram.percentile(50)),
      p99: lateMs(this.#histogram.percentile(99)),
      max: lateMs(this.#histogram.max),
    };
  }
}

/** The histogram has the time from one timer to the next. */
function lateMs(nanoseconds: number): number {
  return Math.max(0, Math.round((nanoseconds / 1e6 - RESOLUTION_MS) * 100) / 100);
}
