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
 * Finds records of one stored batch after another by their bounds, for a shard, which decodes nothing. Ascending
 * indexes are cheap, a lower one than before starts anew. Makes no objects, except that V8 boxes the number that
 * `keyHash` returns. One thread.
 */
export class RecordWalker {
  /** The record that `seek` went to is bytes[recordStart, contentEnd), with the header of its bin. */
  recordStart = 0;
  /** The same as contentEnd: the record was removed. */
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

  /** Goes to record `index`; false, and it stays where it was, when the batch has no such record. */
  seek(index: number): boolean {
    if (index < this.#next - 1) this.#restart();
    const bytes = this.#bytes;
    const end = this.#recordsEnd;
    let at = this.contentEnd;
    let recordStart = this.recordStart;
    let start = this.contentStart;
    for (let next = this.#next; next <= index; next += 1) {
      if (at >= end) return false;
      recordStart = at;
      const first = bytes[at];
      if (first === MSGPACK.BIN_8) {
        start = at + 2;
        at = start + (bytes[at + 1] as number);
      } else if (first === MSGPACK.BIN_16) {
        start = at + 3;
        at = start + readU16(bytes, at + 1);
      } else if (first === MSGPACK.BIN_32) {
        start = at + 5;
        at = start + readU32(bytes, at + 1);
      } else {
        return false;
      }
    }
    // NaN, too, when the length itself would stand beyond the bytes.
    if (!(at <= end) || index < 0) return false;
    this.recordStart = recordStart;
    this.contentStart = start;
    this.contentEnd = at;
    this.#next = index + 1;
    return true;
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
    if (at === MALFORMED) return NO_KEY;
    const first = bytes[at] as number;
    if (first === MSGPACK.NIL) return NO_KEY;
    // A short string needs no look at its inside.
    const keyEnd =
      first >= MSGPACK.FIX_STR && first < MSGPACK.NIL ? at + 1 + (first & 0x1f) : skipValue(bytes, at, end);
    if (keyEnd === MALFORMED || keyEnd > end) return NO_KEY;
    return hashBytes(bytes, at + contentHeaderBytes(first), keyEnd);
  }

  #restart(): void {
    this.recordStart = this.#head.recordsStart;
    this.contentStart = this.recordStart;
    this.contentEnd = this.recordStart;
    this.#next = 0;
  }
}
