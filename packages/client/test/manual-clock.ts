import type { Clock, TimerHandle } from "../src/system-clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that moves only when a test says so. */
export class ManualClock implements Clock {
  #now = 1_000_000;
  #order = 0;
  readonly #timers: Set<Timer> = new Set();

  now(): number {
    return this.#now;
  }

  setTimer(callback: () => void, delayMs: number): TimerHandle {
    const timer = { at: this.#now + delayMs, order: this.#order++, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(handle: TimerHandle): void {
    this.#timers.delete(handle as Timer);
  }

  afterTurn(callback: () => void): void {
    this.setTimer(callback, 0);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, in ms from now; Infinity without one. */
  get nextInMs(): number {
    return Math.min(...Array.from(this.#timers, ({ at }) => at)) - this.#now;
  }

  /** Moves time on, calling what becomes due, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(({ at }) => at <= until)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = until;
  }
}

/** Lets promises that are settled already call back. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}
