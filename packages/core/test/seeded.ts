/** A source of repeatable choices for fuzz tests. */
export interface Seeded {
  readonly seed: number;
  /** Uniform integer from 0 to `bound - 1`. */
  below(bound: number): number;
}

/** The same seed gives the same choices: mulberry32. */
export function seeded(seed: number): Seeded {
  let state = seed | 0;
  return {
    seed,
    below(bound) {
      state = (state + 0x6d2b79f5) | 0;
      let word = Math.imul(state ^ (state >>> 15), state | 1);
      word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
      return ((word ^ (word >>> 14)) >>> 0) % bound;
    },
  };
}

/** MILLRACE_SEED where it is set, so that a printed failure can be repeated; otherwise a new seed each run. */
export function seedOfRun(): number {
  const given = process.env.MILLRACE_SEED;
  if (given !== undefined && given !== "") {
    const seed = Number(given);
    if (!Number.isInteger(seed)) throw new Error(`MILLRACE_SEED must be an integer: ${given}`);
    return seed;
  }
  return Number(process.hrtime.bigint() & 0x7fff_ffffn);
}
