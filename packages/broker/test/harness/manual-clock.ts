import type { Clock } from "../../src/shard/clock.ts";

/** A clock that stands still until it is told otherwise. */
export class ManualClock implements Clock {
  #wallMs = 1_700_000_000_000;
  #monotonicMs = 1_000;
  #latestWallMs = this.#wallMs;
  #setBackMs = 0;

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** The greatest that wallMs has said. */
  get latestWallMs(): number {
    return this.#latestWallMs;
  }

  /** By how much the wall clock was set back in all. */
  get setBackMs(): number {
    return this.#setBackMs;
  }

  advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
    this.#latestWallMs = Math.max(this.#latestWallMs, this.#wallMs);
  }

  /** The wall clock alone, as when somebody sets it; may go back. */
  setWallBack(ms: number): void {
    this.#wallMs -= ms;
    this.#setBackMs += ms;
  }
}
