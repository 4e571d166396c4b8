import { copyBytes } from "@millrace/core";
import { alignRecord, RECORD_ALIGNMENT, RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { PeerProtocolError } from "./link-layout.ts";

/** Gets each whole record; `index` is that of its header, `length` counts header and payload. The memory is lent for the call. */
export type TakeRecord = (
  type: number,
  words: Int32Array,
  bytes: Buffer,
  index: number,
  length: number,
) => void;

/** Reads after which memory that had to grow for a large record is given back. */
const READS_UNTIL_SMALL = 64;

/**
 * Cuts the bytes of a stream into records, wherever the stream was cut. Records are read where they arrived: in memory of
 * its own that the socket fills (`room` and `received`), or in the socket's (`push`), of which only what a cut has torn is
 * copied. In both a record's header is 8-aligned, as records are in the stream.
 */
export class RecordReader {
  readonly #take: TakeRecord;
  /** Longest record that is taken; the first one of a link is short. */
  lengthMax: number;
  #bytes: Buffer;
  #words: Int32Array;
  /** What was put into the memory and not taken yet: the beginning of one record. `#start` is 8-aligned. */
  #start = 0;
  #end = 0;
  /** Bytes of the next record as far as is known. */
  #need = RECORD_HEADER_BYTES;
  #readsSinceLarge = 0;
  #stopped = false;

  constructor(take: TakeRecord, lengthMax: number) {
    this.#take = take;
    this.lengthMax = lengthMax;
    this.#bytes = memory(BROKER_LIMITS.peerReceiveBytes);
    this.#words = wordsOf(this.#bytes);
  }

  /** Where the next bytes are to be put; never empty. */
  room(): Buffer {
    return this.#bytes.subarray(this.#end);
  }

  /**
   * So many bytes were put at the beginning of the last room().
   * @throws PeerProtocolError; what `take` throws
   */
  received(count: number): void {
    this.#end += count;
    this.#start = this.#cut(this.#words, this.#bytes, this.#start, this.#end);
    if (this.#start < this.#end) this.#reserve();
    else this.#emptied();
  }

  /**
   * Takes the records of a chunk that came after what came before.
   * @throws as received()
   */
  push(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length && !this.#stopped) {
      const pending = this.#end - this.#start;
      const rest = chunk.length - from;
      if (pending === 0) {
        this.#emptied();
        if (((chunk.byteOffset + from) & (RECORD_ALIGNMENT - 1)) === 0) {
          const whole = from === 0 ? chunk : chunk.subarray(from);
          from += this.#cut(wordsOf(whole), whole, 0, rest);
          if (!this.#stopped && from < chunk.length) this.#keep(chunk, from, chunk.length - from);
          return;
        }
      }
      // As much as makes the torn record whole; all, where the chunk lies so that it could not be read in place.
      const wanted = pending === 0 ? this.#bytes.length : this.#need - pending;
      const count = Math.min(wanted, rest);
      this.#keep(chunk, from, count);
      from += count;
      this.#start = this.#cut(this.#words, this.#bytes, this.#start, this.#end);
    }
  }

  /** Nothing more is taken, also of what came already. */
  stop(): void {
    this.#stopped = true;
    this.#start = this.#end = 0;
  }

  #keep(chunk: Buffer, from: number, count: number): void {
    if (this.#end - this.#start + count > this.#need) this.#need = this.#end - this.#start + count;
    this.#reserve();
    copyBytes(this.#bytes, this.#end, chunk, from, count);
    this.#end += count;
  }

  /** @returns the index behind the last whole record */
  #cut(words: Int32Array, bytes: Buffer, start: number, end: number): number {
    let at = start;
    this.#need = RECORD_HEADER_BYTES;
    while (end - at >= RECORD_HEADER_BYTES) {
      const length = words[at >> 2] as number;
      const type = words[(at >> 2) + 1] as number;
      if (length < RECORD_HEADER_BYTES || length > this.lengthMax || type <= 0) {
        throw new PeerProtocolError(
          `this is no record: length=${length} type=${type} lengthMax=${this.lengthMax}`,
        );
      }
      const padded = alignRecord(length);
      if (end - at < padded) {
        this.#need = padded;
        break;
      }
      this.#take(type, words, bytes, at, length);
      // Whoever took it may have had enough.
      if (this.#stopped) return 0;
      at += padded;
    }
    return at;
  }

  /** Makes room for the whole of the record that has begun. */
  #reserve(): void {
    const need = this.#need;
    if (this.#start + need <= this.#bytes.length) return;
    const pending = this.#end - this.#start;
    if (need > this.#bytes.length) {
      const bytes = memory(alignRecord(need));
      copyBytes(bytes, 0, this.#bytes, this.#start, pending);
      this.#bytes = bytes;
      this.#words = wordsOf(bytes);
    } else {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    }
    if (need > BROKER_LIMITS.peerReceiveBytes) this.#readsSinceLarge = 0;
    this.#start = 0;
    this.#end = pending;
  }

  #emptied(): void {
    this.#start = this.#end = 0;
    this.#need = RECORD_HEADER_BYTES;
    if (this.#bytes.length === BROKER_LIMITS.peerReceiveBytes) return;
    this.#readsSinceLarge += 1;
    if (this.#readsSinceLarge < READS_UNTIL_SMALL) return;
    this.#bytes = memory(BROKER_LIMITS.peerReceiveBytes);
    this.#words = wordsOf(this.#bytes);
  }
}

/** Not of the pool: aligned, and nobody else's. */
function memory(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(bytes);
}

function wordsOf(bytes: Buffer): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}
