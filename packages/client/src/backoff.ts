/**
 * Exponential back-off with full jitter: the n-th pause is uniform in [0, min(max, min * 2^n)), so that many clients
 * that lost the same broker do not come back at once.
 * Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #fraction: () => number;
  #attempts = 0;

  constructor(minMs: number, maxMs: number, fraction: () => number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#fraction = fraction;
  }

  /** Failures in a row so far. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The next pause in ms. */
  next(): number {
    const ceiling = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return this.#fraction() * ceiling;
  }

  /** After a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
