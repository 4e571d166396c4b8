import type { ConsumerEvents } from "@millrace/load";

const CAPACITY = 64 * 1024;

/** The values that a scanner has found in one chunk, announced together. */
export class ValueBatch {
  readonly #events: ConsumerEvents;
  readonly #starts: Int32Array = new Int32Array(CAPACITY);
  readonly #lengths: Int32Array = new Int32Array(CAPACITY);
  #bytes: Buffer = Buffer.alloc(0);
  #count = 0;

  constructor(events: ConsumerEvents) {
    this.#events = events;
  }

  add(bytes: Buffer, start: number, end: number): void {
    if (this.#count === CAPACITY) this.announce();
    this.#bytes = bytes;
    this.#starts[this.#count] = start;
    this.#lengths[this.#count++] = end - start;
  }

  /** At the end of the chunk, while its bytes are still there. */
  announce(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    this.#events.received(count, this.#valueAt);
  }

  readonly #valueAt = (index: number): Uint8Array => {
    const { buffer, byteOffset } = this.#bytes;
    return new Uint8Array(
      buffer,
      byteOffset + (this.#starts[index] as number),
      this.#lengths[index] as number,
    );
  };
}
