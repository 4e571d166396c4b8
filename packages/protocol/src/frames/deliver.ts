import { BatchHead } from "../batch-head.ts";
import { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { MALFORMED } from "../parse-outcome.ts";
import { readRow, skipRest } from "./element.ts";

/** One batch of a DELIVER frame. */
export interface DeliverEntry {
  /** Offset of the batch's first record. */
  readonly baseOffset: number;
  readonly count: number;
  /** When the broker appended it, ms since the epoch. */
  readonly appendTimeMs: number;
  /** The encoded batch, without trailer; decoded it is a view of the frame. */
  readonly batch: Uint8Array;
  /** crc32 of `batch`; undefined: none. */
  readonly checksum?: number | undefined;
}

/**
 * Server to client: `[34, streamId, nextOffset, [[baseOffset, count, appendTimeMs, batch, checksum?]]]`
 *
 * `nextOffset` is where the stream goes on; it may be ahead of the records. This form is for tools and tests; a client
 * reads the frame with a DeliverReader.
 */
export interface DeliverFrame {
  readonly streamId: number;
  readonly nextOffset: number;
  readonly entries: readonly DeliverEntry[];
}

const ENTRY_ELEMENTS_MIN = 4;
const ENTRY_ELEMENTS = 5;

export function encodeDeliver(writer: FrameWriter, frame: DeliverFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.DELIVER);
  writer.uint(frame.streamId);
  writer.uint(frame.nextOffset);
  writer.arrayHeader(frame.entries.length);
  for (const entry of frame.entries) {
    writer.arrayHeader(ENTRY_ELEMENTS);
    writer.uint(entry.baseOffset);
    writer.uint(entry.count);
    writer.uint(entry.appendTimeMs);
    writer.raw(entry.batch);
    if (entry.checksum === undefined) writer.nil();
    else writer.u32(entry.checksum);
  }
}

export function decodeDeliver(reader: FrameReader): DeliverFrame {
  const streamId = reader.required("streamId").uint();
  const nextOffset = reader.required("nextOffset").uint();
  const entries: DeliverEntry[] = [];
  for (let left = reader.required("entries").arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, ENTRY_ELEMENTS_MIN);
    entries.push({
      baseOffset: reader.uint(),
      count: reader.uint(),
      appendTimeMs: reader.uint(),
      batch: reader.encoded(),
      checksum: elements < ENTRY_ELEMENTS || reader.nil() ? undefined : reader.uint(),
    });
    skipRest(reader, elements, ENTRY_ELEMENTS);
  }
  reader.close();
  return { streamId, nextOffset, entries };
}

/**
 * Reads DELIVER frames one after another, entry by entry, without an object per entry: after each `next()` that
 * answers true the fields describe one batch, bytes[batchStart, batchEnd) of the frame.
 */
export class DeliverReader {
  streamId = 0;
  nextOffset = 0;
  entryCount = 0;
  baseOffset = 0;
  count = 0;
  appendTimeMs = 0;
  batchStart = 0;
  batchEnd = 0;
  /** Position after the checksum: the end that BatchReader.reset wants. */
  entryEnd = 0;
  hasChecksum = false;
  checksum = 0;
  readonly #reader: FrameReader = new FrameReader();
  readonly #batch: BatchHead = new BatchHead();
  #left = 0;

  /** Takes the frame bytes[start, end), its type included. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader;
    const type = reader.open(bytes, start, end);
    if (type !== FRAME_TYPE.DELIVER) reader.malformed(`a DELIVER frame is needed, found type ${type}`);
    this.streamId = reader.required("streamId").uint();
    this.nextOffset = reader.required("nextOffset").uint();
    this.entryCount = reader.required("entries").arrayHeader();
    this.#left = this.entryCount;
  }

  /** Moves to the next entry; false after the last one. */
  next(): boolean {
    const reader = this.#reader;
    if (this.#left === 0) {
      reader.close();
      return false;
    }
    this.#left -= 1;
    const elements = readRow(reader, ENTRY_ELEMENTS_MIN);
    this.baseOffset = reader.uint();
    this.count = reader.uint();
    this.appendTimeMs = reader.uint();
    this.batchStart = reader.position;
    if (this.#batch.parse(reader.bytes, reader.position, reader.end) === MALFORMED) {
      reader.malformed("the head of a batch is malformed");
    }
    this.batchEnd = this.#batch.end;
    reader.seek(this.#batch.end);
    this.hasChecksum = elements >= ENTRY_ELEMENTS && !reader.nil();
    this.checksum = this.hasChecksum ? reader.uint() : 0;
    this.entryEnd = reader.position;
    skipRest(reader, elements, ENTRY_ELEMENTS);
    return true;
  }
}
