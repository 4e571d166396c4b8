import { SERIES_STEP_MS } from "../limits.ts";
import { ownThreadSeconds } from "../measure/cpu-accounting.ts";
import { monotonicMs } from "../measure/system-clock.ts";
import type { LoadProgress, LoadSchedule } from "./load-task.ts";

/** What runs the generator: a process of its own, or a thread beside others. */
export type CpuScope = "process" | "thread";

/** What was counted in the measured window. */
export interface WindowCounts {
  readonly records: number;
  readonly sent: number;
  readonly settled: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly series: readonly number[];
  readonly cpuSeconds: number;
  readonly eventLoopUtilization: number;
}

interface Mark extends LoadProgress {
  readonly cpuSeconds: number;
  readonly loop: { readonly idle: number; readonly active: number; readonly utilization: number };
}

/** Counts what one generator does, and marks the counts at both ends of the measured window and every 250 ms between. */
export class LoadMeter {
  records = 0;
  sent = 0;
  settled = 0;
  bytes = 0;
  /** Of the schedule; before `begin` nothing is in the window. */
  windowStartMs: number = Number.POSITIVE_INFINITY;
  windowEndMs: number = Number.POSITIVE_INFINITY;
  readonly #scope: CpuScope;
  readonly #series: number[] = [];
  #seriesAt = 0;
  #from: Mark | undefined;
  #to: Mark | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(scope: CpuScope) {
    this.#scope = scope;
  }

  begin(schedule: LoadSchedule): void {
    this.windowStartMs = schedule.windowStartMs;
    this.windowEndMs = schedule.windowEndMs;
    this.#at(schedule.windowStartMs, () => {
      this.#from = this.#mark();
      this.#seriesAt = this.records;
      this.#awaitStep(1);
    });
  }

  progress(): LoadProgress {
    const { records, sent, settled, bytes } = this;
    return { timeMs: monotonicMs(), records, sent, settled, bytes };
  }

  /** Ends the window, if it has not ended: what is counted from now on is outside of it. */
  end(): WindowCounts {
    clearTimeout(this.#timer);
    const from = this.#from ?? this.#mark();
    const to = this.#to ?? this.#mark();
    const active = to.loop.active - from.loop.active;
    const loopMs = active + to.loop.idle - from.loop.idle;
    return {
      records: to.records - from.records,
      sent: to.sent - from.sent,
      settled: to.settled - from.settled,
      bytes: to.bytes - from.bytes,
      seconds: (to.timeMs - from.timeMs) / 1000,
      series: this.#series,
      cpuSeconds: to.cpuSeconds - from.cpuSeconds,
      eventLoopUtilization: loopMs > 0 ? active / loopMs : 0,
    };
  }

  #awaitStep(step: number): void {
    const stepMs = this.windowStartMs + step * SERIES_STEP_MS;
    if (stepMs > this.windowEndMs) {
      this.#at(this.windowEndMs, () => {
        this.#to ??= this.#mark();
      });
      return;
    }
    this.#at(stepMs, () => {
      this.#series.push(this.records - this.#seriesAt);
      this.#seriesAt = this.records;
      if (stepMs === this.windowEndMs) this.#to ??= this.#mark();
      else this.#awaitStep(step + 1);
    });
  }

  #at(timeMs: number, action: () => void): void {
    this.#timer = setTimeout(action, Math.max(0, timeMs - monotonicMs()));
  }

  #mark(): Mark {
    const loop = performance.eventLoopUtilization();
    return { ...this.progress(), cpuSeconds: this.#cpuSeconds(loop.active), loop };
  }

  #cpuSeconds(activeMs: number): number {
    if (this.#scope === "process") {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }
    return ownThreadSeconds() ?? activeMs / 1000;
  }
}
