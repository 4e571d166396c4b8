import { BatchHead } from "../batch-head.ts";
import { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { MALFORMED } from "../parse-outcome.ts";
import { readUints } from "../uint-format.ts";
import { readRow, skipRest } from "./element.ts";

/** Records that a queue or keyed consumer has got under one lease, the batch they stand in, and how to settle them. */
export interface LeasedRow {
  /** Of the subscription's topic, or of its dead-letter topic for what was redriven. */
  readonly topicId: number;
  readonly partition: number;
  /** Offset of the batch's first record. */
  readonly baseOffset: number;
  readonly count: number;
  /** When the broker appended them, ms since the epoch. */
  readonly appendTimeMs: number;
  /** How often they were delivered, this time included. */
  readonly deliveryCount: number;
  /** The lease's token, with leaseCounter. */
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  /** The encoded batch, without trailer; decoded it is a view of the frame. */
  readonly batch: Uint8Array;
  /** crc32 of `batch`; undefined: none. */
  readonly checksum?: number | undefined;
}

/**
 * Server to client: `[71, consumerId, [[topicId, partition, baseOffset, count, appendTimeMs, deliveryCount, leaseEpoch,
 * leaseCounter, batch, checksum?]]]`
 *
 * This form is for tools and tests; a client reads the frame with a LeasedReader.
 */
export interface LeasedFrame {
  readonly consumerId: number;
  readonly rows: readonly LeasedRow[];
}

const ROW_NUMBERS = 8;
const ROW_ELEMENTS_MIN = 9;
const ROW_ELEMENTS = 10;

export function encodeLeased(writer: FrameWriter, frame: LeasedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.LEASED);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.rows.length);
  for (const row of frame.rows) {
    writer.arrayHeader(ROW_ELEMENTS);
    writer.uint(row.topicId);
    writer.uint(row.partition);
    writer.uint(row.baseOffset);
    writer.uint(row.count);
    writer.uint(row.appendTimeMs);
    writer.uint(row.deliveryCount);
    writer.uint(row.leaseEpoch);
    writer.uint(row.leaseCounter);
    writer.raw(row.batch);
    if (row.checksum === undefined) writer.nil();
    else writer.u32(row.checksum);
  }
}

export function decodeLeased(reader: FrameReader): LeasedFrame {
  const consumerId = reader.required("consumerId").uint();
  const rows: LeasedRow[] = [];
  for (let left = reader.required("rows").arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, ROW_ELEMENTS_MIN);
    rows.push({
      topicId: reader.uint(),
      partition: reader.uint(),
      baseOffset: reader.uint(),
      count: reader.uint(),
      appendTimeMs: reader.uint(),
      deliveryCount: reader.uint(),
      leaseEpoch: reader.uint(),
      leaseCounter: reader.uint(),
      batch: reader.encoded(),
      checksum: elements < ROW_ELEMENTS || reader.nil() ? undefined : reader.uint(),
    });
    skipRest(reader, elements, ROW_ELEMENTS);
  }
  reader.close();
  return { consumerId, rows };
}

/**
 * Reads LEASED frames one after another, row by row, without an object per row: after each `next()` that answers true the
 * fields describe one lease and its batch, bytes[batchStart, batchEnd) of the frame.
 */
export class LeasedReader {
  consumerId = 0;
  rowCount = 0;
  topicId = 0;
  partition = 0;
  baseOffset = 0;
  count = 0;
  appendTimeMs = 0;
  deliveryCount = 0;
  leaseEpoch = 0;
  leaseCounter = 0;
  batchStart = 0;
  batchEnd = 0;
  /** Position after the checksum: the end that BatchReader.reset wants. */
  rowEnd = 0;
  hasChecksum = false;
  checksum = 0;
  readonly #reader: FrameReader = new FrameReader();
  readonly #batch: BatchHead = new BatchHead();
  readonly #numbers: Float64Array = new Float64Array(ROW_NUMBERS);
  #left = 0;

  /** Takes the frame bytes[start, end), its type included. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader;
    const type = reader.open(bytes, start, end);
    if (type !== FRAME_TYPE.LEASED) reader.malformed(`a LEASED frame is needed, found type ${type}`);
    this.consumerId = reader.required("consumerId").uint();
    this.rowCount = reader.required("rows").arrayHeader();
    this.#left = this.rowCount;
  }

  /** Moves to the next row; false after the last one. */
  next(): boolean {
    const reader = this.#reader;
    if (this.#left === 0) {
      reader.close();
      return false;
    }
    this.#left -= 1;
    const elements = readRow(reader, ROW_ELEMENTS_MIN);
    const numbers = this.#numbers;
    const at = readUints(reader.bytes, reader.position, reader.end, numbers, ROW_NUMBERS);
    if (at < 0) reader.malformed("a row of a lease begins with eight numbers");
    this.topicId = numbers[0] as number;
    this.partition = numbers[1] as number;
    this.baseOffset = numbers[2] as number;
    this.count = numbers[3] as number;
    this.appendTimeMs = numbers[4] as number;
    this.deliveryCount = numbers[5] as number;
    this.leaseEpoch = numbers[6] as number;
    this.leaseCounter = numbers[7] as number;
    this.batchStart = at;
    if (this.#batch.parse(reader.bytes, at, reader.end) === MALFORMED) {
      reader.malformed("the head of a batch is malformed");
    }
    this.batchEnd = this.#batch.end;
    reader.seek(this.#batch.end);
    this.hasChecksum = elements >= ROW_ELEMENTS && !reader.nil();
    this.checksum = this.hasChecksum ? reader.uint() : 0;
    this.rowEnd = reader.position;
    skipRest(reader, elements, ROW_ELEMENTS);
    return true;
  }
}
