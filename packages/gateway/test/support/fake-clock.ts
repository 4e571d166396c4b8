import type { Clock } from "../../src/clock.ts";

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

/** Time that a test moves. `soon` tasks run when the test says so, as do timers. */
export class FakeClock implements Clock {
  #now = 1_000;
  #soon: (() => void)[] = [];
  readonly #timers: Set<Timer> = new Set();

  monotonicMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { at: this.#now + delayMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  soon(task: () => void): void {
    this.#soon.push(task);
  }

  get hasSoon(): boolean {
    return this.#soon.length > 0;
  }

  /** Runs the tasks of one turn; those that they add wait for the next. */
  turn(): void {
    const tasks = this.#soon;
    this.#soon = [];
    for (const task of tasks) task();
  }

  /** Runs turns until nothing is left to do. */
  settle(): void {
    for (let turns = 0; this.#soon.length > 0; turns += 1) {
      if (turns > 1_000_000) throw new Error("the turns do not end");
      this.turn();
    }
  }

  /** Moves time on, timer by timer. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
      }
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
      this.settle();
    }
    this.#now = until;
  }
}
