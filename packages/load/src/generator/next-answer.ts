/** Wakes the one who waits for what is under way, each time something of it has been answered. Costs nothing while nobody waits. */
export class NextAnswer {
  #wake: (() => void) | undefined;

  came(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
