import { randomInt } from "node:crypto";
import type { Test } from "tap";

/** Random numbers that come again with the same seed (mulberry32, Tommy Ettinger, public domain). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer of 0 .. 2^32-1. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer of 0 .. bound-1. */
  below(bound: number): number {
    return this.uint32() % bound;
  }

  /** An integer of min .. max. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** The seed of this run: MILLRACE_SEED, or a new one. It is printed, so that a failure can be run again. */
export function seedOf(t: Test): number {
  const given = process.env.MILLRACE_SEED;
  const seed = given === undefined ? randomInt(0x1_0000_0000) : Number(given);
  t.comment(`seed: MILLRACE_SEED=${seed}`);
  return seed;
}
