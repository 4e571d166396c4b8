/**
 * When the frames were sent that are not answered yet, first in, first out: the broker answers the frames of one
 * partition and one session in their order. Holds a bounded number of them.
 */
export class SendTimes {
  readonly #times: Float64Array;
  readonly #mask: number;
  #head = 0;
  #tail = 0;

  /** `capacity` must be a power of two. */
  constructor(capacity: number) {
    this.#times = new Float64Array(capacity);
    this.#mask = capacity - 1;
  }

  get size(): number {
    return this.#tail - this.#head;
  }

  /** @throws RangeError when as many frames are unanswered as it can hold */
  push(timeMs: number): void {
    if (this.size > this.#mask)
      throw new RangeError(`too many unanswered frames: capacity=${this.#mask + 1}`);
    this.#times[this.#tail++ & this.#mask] = timeMs;
  }

  /** The oldest. @throws RangeError when there is none: the broker has answered what was not sent */
  shift(): number {
    if (this.size === 0) throw new RangeError("an answer to a frame that was not sent");
    return this.#times[this.#head++ & this.#mask] as number;
  }
}
