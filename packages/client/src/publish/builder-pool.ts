import { BatchBuilder } from "@millrace/protocol";

/** Builders that stay when the producer has nothing under way. */
const IDLE_MAX = 16;
/** What a builder for a single record begins with. */
const RECORD_BYTES = 512;

/**
 * Builders that no batch needs any more. A producer that is faster than its broker holds hundreds of batches, and fresh
 * memory for each costs more than filling it: what was used once is used again. What was not needed for a while goes.
 */
export class BuilderPool {
  readonly #batchBytes: number;
  readonly #bytesMax: number;
  readonly #free: BatchBuilder[] = [];
  #bytes = 0;
  /** The fewest that were free since the last `trim`. */
  #leastFree = 0;
  /** What the builder that came back last has grown to: as much as the next new one begins with. */
  #usualBytes: number | undefined;

  /** The free builders' memory stays within `bytesMax`. */
  constructor(batchBytes: number, bytesMax: number) {
    // The first record of a batch always fits, and without batches there is no second one.
    this.#batchBytes = Math.max(1, batchBytes);
    this.#usualBytes = batchBytes === 0 ? RECORD_BYTES : undefined;
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#free.length;
  }

  /** An empty builder. */
  take(): BatchBuilder {
    const builder = this.#free.pop();
    if (builder === undefined) return new BatchBuilder(this.#batchBytes, this.#usualBytes);
    this.#bytes -= builder.capacity;
    if (this.#free.length < this.#leastFree) this.#leastFree = this.#free.length;
    return builder;
  }

  /** Nobody looks at the builder's bytes any more. One that had to hold a single large record is let go. */
  give(builder: BatchBuilder): void {
    const { capacity } = builder;
    if (capacity > builder.capacityMax || this.#bytes + capacity > this.#bytesMax) return;
    builder.reset();
    this.#usualBytes = capacity;
    this.#bytes += capacity;
    this.#free.push(builder);
  }

  /** To be called now and then: lets go of half of what was not needed since the last time, or of nearly all. */
  trim(isIdle: boolean): void {
    const free = this.#free;
    const kept = isIdle ? Math.min(free.length, IDLE_MAX) : free.length - (this.#leastFree >> 1);
    for (const builder of free.splice(kept)) this.#bytes -= builder.capacity;
    this.#leastFree = free.length;
  }
}
