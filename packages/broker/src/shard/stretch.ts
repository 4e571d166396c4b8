import { copyBytes } from "@millrace/core";
import { DELIVER_ENTRY_HEAD_BYTES, DELIVER_HEAD_BYTES, DeliverReader } from "@millrace/protocol/internal";
import type { FetchedLog } from "./fetched-log.ts";

/** What a stretch takes beside its bytes. */
const OBJECT_BYTES = 512;
const ROW = 4;
const BASE = 0;
const END = 1;
const TIME = 2;
const START = 3;

const NO_BYTES = Buffer.alloc(0);
const NO_ROWS = new Float64Array(0);
const deliverReader = new DeliverReader();

/** A piece of one partition's log in private memory: consecutive batches, or the knowledge that there are none. Shard thread only. */
export class Stretch {
  readonly log: FetchedLog;
  readonly firstOffset: number;
  /** One past its last record. */
  readonly endOffset: number;
  /** Why there is nothing, a PROGRESS_* number; HAS_ENTRIES. */
  readonly reason: number;
  /** DELIVER entries, one behind the other. */
  readonly bytes: Buffer;
  readonly memoryBytes: number;
  /** Neighbours by use. */
  newer: Stretch | undefined = undefined;
  older: Stretch | undefined = undefined;
  /** A row of ROW numbers for each entry. */
  readonly #rows: Float64Array;
  readonly #count: number;
  /** Found last: batches are looked up in a row mostly. */
  #entry = 0;

  private constructor(
    log: FetchedLog,
    firstOffset: number,
    endOffset: number,
    reason: number,
    bytes: Buffer,
    rows: Float64Array,
  ) {
    this.log = log;
    this.firstOffset = firstOffset;
    this.endOffset = endOffset;
    this.reason = reason;
    this.bytes = bytes;
    this.#rows = rows;
    this.#count = rows.length / ROW;
    this.memoryBytes = OBJECT_BYTES + bytes.length + rows.byteLength;
  }

  /** Copies the entries of the DELIVER frame in source[frameStart, frameEnd). Undefined: it has none. */
  static copied(log: FetchedLog, source: Buffer, frameStart: number, frameEnd: number): Stretch | undefined {
    const length = frameEnd - frameStart - DELIVER_HEAD_BYTES;
    const bytes = Buffer.allocUnsafeSlow(length);
    copyBytes(bytes, 0, source, frameStart + DELIVER_HEAD_BYTES, length);
    deliverReader.reset(source, frameStart, frameEnd);
    const count = deliverReader.entryCount;
    const rows = new Float64Array(count * ROW);
    for (let at = 0; deliverReader.next(); at += ROW) {
      const { baseOffset } = deliverReader;
      rows[at + BASE] = baseOffset;
      rows[at + END] = baseOffset + deliverReader.count;
      rows[at + TIME] = deliverReader.appendTimeMs;
      rows[at + START] = deliverReader.batchStart - frameStart - DELIVER_HEAD_BYTES;
    }
    if (count === 0) return undefined;
    const end = rows[rows.length - ROW + END] as number;
    return new Stretch(log, rows[BASE] as number, end, HAS_ENTRIES, bytes, rows);
  }

  static ofNothing(log: FetchedLog, firstOffset: number, endOffset: number, reason: number): Stretch {
    return new Stretch(log, firstOffset, endOffset, reason, NO_BYTES, NO_ROWS);
  }

  /** The entry that holds `offset`, which must be the stretch's. */
  find(offset: number): number {
    const rows = this.#rows;
    const last = this.#entry;
    if (offset >= (rows[last * ROW + BASE] as number)) {
      if (offset < (rows[last * ROW + END] as number)) return last;
      const next = last + 1;
      if (next < this.#count && offset < (rows[next * ROW + END] as number)) {
        this.#entry = next;
        return next;
      }
    }
    let low = 0;
    let high = this.#count;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((rows[middle * ROW + BASE] as number) <= offset) low = middle;
      else high = middle;
    }
    this.#entry = low;
    return low;
  }

  baseOffsetAt(entry: number): number {
    return this.#rows[entry * ROW + BASE] as number;
  }

  endOffsetAt(entry: number): number {
    return this.#rows[entry * ROW + END] as number;
  }

  appendTimeAt(entry: number): number {
    return this.#rows[entry * ROW + TIME] as number;
  }

  /** Where the entry's stored payload begins in `bytes`, and ends. */
  startAt(entry: number): number {
    return this.#rows[entry * ROW + START] as number;
  }

  endAt(entry: number): number {
    if (entry + 1 === this.#count) return this.bytes.length;
    return (this.#rows[(entry + 1) * ROW + START] as number) - DELIVER_ENTRY_HEAD_BYTES;
  }
}

export const HAS_ENTRIES = -1;
