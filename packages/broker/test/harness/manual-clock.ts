import type { Clock } from "../../src/shard/clock.ts";

/** A clock that stands still until it is told otherwise. */
export class ManualClock implements Clock {
  #wallMs = 1_700_000_000_000;
  #monotonicMs = 1_000;

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }

  /** The wall clock alone, as when somebody sets it; may go back. */
  setWallBack(ms: number): void {
    this.#wallMs -= ms;
  }
}
