import { copyBytes, type OneToOneRingBuffer } from "@millrace/core";

const NOTHING = -1;

/**
 * The memory of the tail cache: the consumed part of the inbound ring. While the disk is full, batches that
 * wait to be written would keep the ring from being reused, and reads come through that ring too: then they
 * are rescued into memory of their own until their consumers got them. Shard thread only.
 */
export class TailMemory {
  /** Where the batch that was located last lies. */
  words: Int32Array;
  bytes: Buffer;
  readonly #ring: OneToOneRingBuffer;
  #rescued: { readonly words: Int32Array; readonly bytes: Buffer } | undefined;
  #rescuedStart: number = NOTHING;
  #rescuedEnd: number = NOTHING;

  constructor(ring: OneToOneRingBuffer) {
    this.#ring = ring;
    this.words = ring.words;
    this.bytes = ring.bytes;
  }

  /** Ring position below which no batch is readable. */
  get start(): number {
    return this.#rescued === undefined ? this.#ring.headPosition : this.#rescuedStart;
  }

  get hasRescued(): boolean {
    return this.#rescued !== undefined;
  }

  /** Sets words and bytes to the memory of the batch at a ring position. @returns its index there */
  locate(position: number): number {
    if (position < this.#rescuedEnd) {
      const rescued = this.#rescued as { words: Int32Array; bytes: Buffer };
      this.words = rescued.words;
      this.bytes = rescued.bytes;
      return position - this.#rescuedStart;
    }
    this.words = this.#ring.words;
    this.bytes = this.#ring.bytes;
    return this.#ring.positionToIndex(position);
  }

  /** Copies what stands in the ring between two positions; the ring may be released up to `end` then. */
  rescue(start: number, end: number): void {
    const ring = this.#ring;
    const memory = new ArrayBuffer(end - start);
    const bytes = Buffer.from(memory);
    for (let at = start; at < end; ) {
      const index = ring.positionToIndex(at);
      const length = Math.min(end - at, ring.capacity - index);
      copyBytes(bytes, at - start, ring.bytes, index, length);
      at += length;
    }
    this.#rescued = { words: new Int32Array(memory), bytes };
    this.#rescuedStart = start;
    this.#rescuedEnd = end;
  }

  /** Nobody needs what was rescued any more. */
  dismiss(): void {
    this.#rescued = undefined;
    this.#rescuedStart = NOTHING;
    this.#rescuedEnd = NOTHING;
  }
}
