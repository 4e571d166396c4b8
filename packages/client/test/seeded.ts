/** A seeded source of randomness (mulberry32), the same in every run. */
export class Seeded {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}

/** Seeds to run: the one in the environment, else `count` fixed ones. */
export function seeds(count: number): number[] {
  const given = process.env.MILLRACE_SEED;
  return given === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(given)];
}
