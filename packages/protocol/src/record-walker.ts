import { BatchHead } from "./batch-head.ts";
import { readU16, readU32 } from "./big-endian.ts";
import { hashBytes } from "./key-hash.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED } from "./parse-outcome.ts";
import { RECORD_FLAG } from "./record-flags.ts";
import { keyStart } from "./record-parts.ts";
import { contentHeaderBytes, skipValue } from "./skip-value.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
/** Of a record without a key. */
export const NO_KEY = -1;

/**
 * Finds records of one stored batch after another by their bounds, for a shard, which decodes nothing. Allocates nothing;
 * ascending indexes are cheap, a lower one than before starts anew. One thread.
 */
export class RecordWalker {
  /** The record that `seek` went to: with its bin header it is bytes[recordStart, contentEnd), empty if it was removed. */
  recordStart = 0;
  contentStart = 0;
  contentEnd = 0;
  readonly #head: BatchHead = new BatchHead();
  #bytes: Uint8Array = EMPTY;
  /** Nothing is read from here on; 0 while there is no batch. */
  #recordsEnd = 0;
  /** Index of the record at contentEnd. */
  #next = 0;

  /** Takes the batch at `start`, which ends at or before `end`: PARSED, MALFORMED or UNSUPPORTED. */
  reset(bytes: Uint8Array, start: number, end: number): number {
    this.#bytes = bytes;
    const outcome = this.#head.parse(bytes, start, end);
    this.#recordsEnd = outcome === PARSED ? this.#head.recordsEnd : 0;
    this.#restart();
    return outcome;
  }

  /** Records that the batch states. */
  get count(): number {
    return this.#head.count;
  }

  /** RECORD_FLAG bits of the batch. */
  get flags(): number {
    return this.#head.flags;
  }

  /** Position after the batch. */
  get end(): number {
    return this.#head.end;
  }

  /** Goes to record `index`; false when the batch has no such record. */
  seek(index: number): boolean {
    if (index < this.#next - 1) this.#restart();
    const bytes = this.#bytes;
    const end = this.#recordsEnd;
    let at = this.contentEnd;
    for (let next = this.#next; next <= index; next += 1) {
      let start = at + 2;
      let stop = -1;
      const first = at < end ? bytes[at] : MSGPACK.NIL;
      if (first === MSGPACK.BIN_8) {
        stop = start + (bytes[at + 1] as number);
      } else if (first === MSGPACK.BIN_16) {
        start = at + 3;
        stop = start + readU16(bytes, at + 1);
      } else if (first === MSGPACK.BIN_32) {
        start = at + 5;
        stop = start + readU32(bytes, at + 1);
      }
      if (!(stop >= 0 && stop <= end)) return false;
      this.recordStart = at;
      this.contentStart = start;
      this.contentEnd = stop;
      this.#next = next + 1;
      at = stop;
    }
    return index >= 0;
  }

  /**
   * A hash of 0..2^53-1 over the raw bytes of the key of the record that `seek` went to, which is the same for a string
   * and its UTF-8; NO_KEY when it has none, was removed or cannot be read.
   */
  keyHash(): number {
    if ((this.#head.flags & RECORD_FLAG.KEY) === 0) return NO_KEY;
    const bytes = this.#bytes;
    const end = this.contentEnd;
    const at = keyStart(bytes, this.contentStart, end);
    if (at === MALFORMED || bytes[at] === MSGPACK.NIL) return NO_KEY;
    const keyEnd = skipValue(bytes, at, end);
    return keyEnd === MALFORMED
      ? NO_KEY
      : hashBytes(bytes, at + contentHeaderBytes(bytes[at] as number), keyEnd);
  }

  #restart(): void {
    this.recordStart = this.#head.recordsStart;
    this.contentStart = this.recordStart;
    this.contentEnd = this.recordStart;
    this.#next = 0;
  }
}
