import { monotonicMs } from "../measure/system-clock.ts";
import type { PaceWaiting } from "./load-task.ts";

/** Nothing is due: only `wake()` goes on. */
export const NOTHING_DUE: number = Number.POSITIVE_INFINITY;

/** A timer of Node fires up to so much late, so it is set to as much before the time. */
const TIMER_MARGIN_MS = 2;
/** Longest sleep in one piece: as long may an acknowledgement that came meanwhile have to wait. */
const NAP_MS_MAX = 0.1;
/** What the kernel adds to a sleep. What is left before the time is spent polling. */
const NAP_MARGIN_MS = 0.075;

/** Turns after something was sent and before the first nap: what the client itself has put off is written by then. */
const IDLE_TURNS_MIN = 1;

/**
 * Calls `turn` when it is due, to the tenth of a millisecond. `turn` does what is due and returns when it wants to be called
 * next: a time, which may be past (in the next turn of the event loop), or NOTHING_DUE. Between two calls the event loop
 * turns at least once, so that what was sent is written and what has come is read.
 */
export class Pacer {
  readonly #turn: () => number;
  readonly #waiting: PaceWaiting;
  readonly #word: Int32Array = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #dueMs = 0;
  /** Turns of the event loop since something was sent. */
  #idleTurns = 0;
  #stopped = false;

  constructor(turn: () => number, waiting: PaceWaiting) {
    this.#turn = turn;
    this.#waiting = waiting;
  }

  /** Calls `turn` in the next turn of the event loop. */
  wake(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueMs = 0;
    this.#soon();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }

  readonly #pass = (): void => {
    this.#immediate = undefined;
    if (this.#stopped) return;
    const gapMs = this.#dueMs - monotonicMs();
    if (gapMs > 0) {
      this.#waitFor(gapMs);
      return;
    }
    this.#idleTurns = 0;
    this.#dueMs = this.#turn();
    if (this.#dueMs === NOTHING_DUE || this.#stopped) return;
    this.#soon();
  };

  #waitFor(gapMs: number): void {
    if (gapMs > TIMER_MARGIN_MS) {
      this.#timer = setTimeout(this.#soon, gapMs - TIMER_MARGIN_MS);
      return;
    }
    this.#idleTurns += 1;
    if (this.#waiting === "nap" && this.#idleTurns > IDLE_TURNS_MIN && gapMs > NAP_MARGIN_MS) {
      Atomics.wait(this.#word, 0, 0, Math.min(NAP_MS_MAX, gapMs - NAP_MARGIN_MS));
    }
    this.#soon();
  }

  readonly #soon = (): void => {
    this.#timer = undefined;
    this.#immediate ??= setImmediate(this.#pass);
  };
}
