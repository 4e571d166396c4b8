/** A source of repeatable choices. */
export interface Seeded {
  readonly seed: number;
  /** Uniform integer from 0 to `bound - 1`. */
  below(bound: number): number;
  /** True once in `n` calls on average. */
  oneIn(n: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** The same seed gives the same choices: mulberry32. */
export function seeded(seed: number): Seeded {
  let state = seed | 0;
  const below = (bound: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) % bound;
  };
  return {
    seed,
    below,
    oneIn: (n) => below(n) === 0,
    pick: (from) => from[below(from.length)] as (typeof from)[number],
  };
}

/** MILLRACE_SEED, so that a printed failure can be repeated alone; undefined when it is not set. */
export function givenSeed(): number | undefined {
  const given = process.env.MILLRACE_SEED;
  if (given === undefined || given === "") return undefined;
  const seed = Number(given);
  if (!Number.isInteger(seed)) throw new Error(`MILLRACE_SEED must be an integer: ${given}`);
  return seed;
}

/**
 * Runs `run` for `rounds` seeds, new ones each time, or for the one in MILLRACE_SEED; MILLRACE_ROUNDS=20 makes it
 * twenty times as many.
 * @throws Error whose message begins with the seed that failed.
 */
export function forSeeds(rounds: number, run: (random: Seeded) => void): void {
  const given = givenSeed();
  const base = given ?? Number(process.hrtime.bigint() & 0x3fff_ffffn);
  const wanted = given === undefined ? rounds * Number(process.env.MILLRACE_ROUNDS ?? 1) : 1;
  for (let round = 0; round < wanted; round += 1) {
    try {
      run(seeded(base + round));
    } catch (error) {
      throw new Error(`MILLRACE_SEED=${base + round}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** As forSeeds(), for runs that wait: one after the other. */
export async function forSeedsInTurn(rounds: number, run: (random: Seeded) => Promise<void>): Promise<void> {
  const given = givenSeed();
  const base = given ?? Number(process.hrtime.bigint() & 0x3fff_ffffn);
  const wanted = given === undefined ? rounds * Number(process.env.MILLRACE_ROUNDS ?? 1) : 1;
  for (let round = 0; round < wanted; round += 1) {
    try {
      await run(seeded(base + round));
    } catch (error) {
      throw new Error(`MILLRACE_SEED=${base + round}: ${(error as Error).message}`, { cause: error });
    }
  }
}
