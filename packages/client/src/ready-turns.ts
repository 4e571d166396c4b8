/** Things that may have something to be taken, each in its turn. Those that had nothing are asked again once they are added. */
export class ReadyTurns<S> {
  readonly #ready: Set<S> = new Set();

  get isEmpty(): boolean {
    return this.#ready.size === 0;
  }

  /** It may have something. */
  add(one: S): void {
    this.#ready.add(one);
  }

  delete(one: S): void {
    this.#ready.delete(one);
  }

  clear(): void {
    this.#ready.clear();
  }

  /** What the next one that has something gives; undefined when none has. */
  take<T>(take: (one: S) => T | undefined): T | undefined {
    for (const one of this.#ready) {
      const taken = take(one);
      if (taken === undefined) {
        this.#ready.delete(one);
        continue;
      }
      // To the end of the line, where there is one.
      if (this.#ready.size > 1) {
        this.#ready.delete(one);
        this.#ready.add(one);
      }
      return taken;
    }
    return undefined;
  }
}
