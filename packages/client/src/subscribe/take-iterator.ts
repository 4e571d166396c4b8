/**
 * An async iterator over something that can often be taken at once: then `next` costs one promise and no waiting.
 * Calls of `next` that overlap are answered in their order.
 */
export class TakeIterator<T> implements AsyncIterableIterator<T> {
  readonly #take: () => T | undefined;
  readonly #more: () => Promise<boolean>;
  readonly #onReturn: () => Promise<void>;
  /** Calls of `next` that had to wait and have no answer yet, and the last one's answer. */
  #pending = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #isReturned = false;

  /**
   * `take` gives the next item or undefined; after undefined `more` resolves with true when it is worth another try,
   * with false at the end, and rejects on failure. `onReturn` is called when the loop is left early.
   */
  constructor(take: () => T | undefined, more: () => Promise<boolean>, onReturn: () => Promise<void>) {
    this.#take = take;
    this.#more = more;
    this.#onReturn = onReturn;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#isReturned) return Promise.resolve({ done: true, value: undefined });
    if (this.#pending === 0) {
      try {
        const value = this.#take();
        if (value !== undefined) return Promise.resolve({ done: false, value });
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const isFirst = this.#pending === 0;
    this.#pending += 1;
    const result = isFirst ? this.#wait() : this.#tail.then(() => this.#wait());
    this.#tail = result.catch(() => {});
    return result;
  }

  async return(): Promise<IteratorResult<T>> {
    this.#isReturned = true;
    await this.#onReturn();
    return { done: true, value: undefined };
  }

  async #wait(): Promise<IteratorResult<T>> {
    try {
      for (;;) {
        if (this.#isReturned) return { done: true, value: undefined };
        const value = this.#take();
        if (value !== undefined) return { done: false, value };
        if (!(await this.#more())) return { done: true, value: undefined };
      }
    } finally {
      this.#pending -= 1;
    }
  }
}
