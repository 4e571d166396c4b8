const INITIAL_RESULTS = 16;
/** Room that an emptied list keeps. */
const KEPT_RESULTS = 1024;

/** What became of one consumer's settles and has not been told yet, in order. Numbers only, no object per result. */
export class SettleResults {
  #settleIds: Uint32Array = new Uint32Array(INITIAL_RESULTS);
  #outcomes: Uint16Array = new Uint16Array(INITIAL_RESULTS);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  settleId(index: number): number {
    return this.#settleIds[index] as number;
  }

  /** 0 or the wire's error number. */
  outcome(index: number): number {
    return this.#outcomes[index] as number;
  }

  push(settleId: number, outcome: number): void {
    if (this.#length === this.#settleIds.length) {
      const settleIds = new Uint32Array(this.#length * 2);
      settleIds.set(this.#settleIds);
      this.#settleIds = settleIds;
      const outcomes = new Uint16Array(this.#length * 2);
      outcomes.set(this.#outcomes);
      this.#outcomes = outcomes;
    }
    this.#settleIds[this.#length] = settleId;
    this.#outcomes[this.#length] = outcome;
    this.#length += 1;
  }

  clear(): void {
    this.#length = 0;
    if (this.#settleIds.length <= KEPT_RESULTS) return;
    this.#settleIds = new Uint32Array(INITIAL_RESULTS);
    this.#outcomes = new Uint16Array(INITIAL_RESULTS);
  }
}
