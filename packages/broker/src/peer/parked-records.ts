import { copyBytes } from "@millrace/core";
import { alignRecord } from "@millrace/core/internal";

const BYTES_MIN = 16_384;

/**
 * Records that found no room in a ring of their shard, in their order. The credit of their sender bounds them; memory is
 * held only while there are any.
 */
export class ParkedRecords {
  #bytes: Buffer = Buffer.alloc(0);
  #words: Int32Array = new Int32Array(0);
  #start = 0;
  #end = 0;

  get byteLength(): number {
    return this.#end - this.#start;
  }

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** Memory of the oldest record, whose header is at `index`. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get words(): Int32Array {
    return this.#words;
  }

  get index(): number {
    return this.#start;
  }

  /** Keeps a copy. */
  push(bytes: Buffer, index: number, length: number): void {
    const size = alignRecord(length);
    this.#reserve(size);
    copyBytes(this.#bytes, this.#end, bytes, index, length);
    this.#end += size;
  }

  /** The oldest record is out of the way. */
  shift(): void {
    this.#start += alignRecord(this.#words[this.#start >> 2] as number);
    if (this.#start === this.#end) this.clear();
  }

  clear(): void {
    this.#start = this.#end = 0;
    this.#bytes = Buffer.alloc(0);
    this.#words = new Int32Array(0);
  }

  #reserve(size: number): void {
    if (this.#end + size <= this.#bytes.length) return;
    const used = this.#end - this.#start;
    if (used + size <= this.#bytes.length / 2) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    } else {
      const bytes = Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, 2 * alignRecord(used + size)));
      copyBytes(bytes, 0, this.#bytes, this.#start, used);
      this.#bytes = bytes;
      this.#words = new Int32Array(bytes.buffer);
    }
    this.#start = 0;
    this.#end = used;
  }
}
