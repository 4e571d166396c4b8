import type { CatalogTimer } from "../../src/cluster/catalog-timing.ts";

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Timers that go off in their order as soon as nothing else is left to be done: what takes seconds takes none. */
export class VirtualTime implements CatalogTimer {
  readonly #planned: Set<Planned> = new Set();
  #nowMs = 1;
  #order = 0;

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(ms: number, run: () => void): () => void {
    this.#order += 1;
    const planned = { atMs: this.#nowMs + ms, order: this.#order, run };
    this.#planned.add(planned);
    return () => this.#planned.delete(planned);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass until `isOver`, or so many ms. @returns whether it is over */
  async pass(ms: number, isOver: () => boolean = () => false): Promise<boolean> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      if (isOver()) return true;
      const next = this.#next();
      if (next === undefined || next.atMs > untilMs) {
        this.#nowMs = untilMs;
        return isOver();
      }
      this.#planned.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
  }

  #next(): Planned | undefined {
    let next: Planned | undefined;
    for (const planned of this.#planned) {
      const isEarlier =
        next === undefined ||
        planned.atMs < next.atMs ||
        (planned.atMs === next.atMs && planned.order < next.order);
      if (isEarlier) next = planned;
    }
    return next;
  }
}

/** All promises that can be settled are. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
