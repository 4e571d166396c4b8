import { BatchHead } from "./batch-head.ts";
import { CHECKSUM_TRAILER_BYTES } from "./batch-layout.ts";
import { readU16, readU32 } from "./big-endian.ts";
import { crc32 } from "./crc32.ts";
import { FrameReader } from "./frame-reader.ts";
import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED, UNSUPPORTED } from "./parse-outcome.ts";
import { type IncomingRecord, RECORD_ATTRIBUTE, RECORD_ELEMENTS } from "./record.ts";
import { readHeaders } from "./record-parts.ts";
import { walkRecords } from "./record-walk.ts";
import { contentHeaderBytes, skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength } from "./uint-format.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
const NO_CHECKSUM = -1;

/** Decodes one record at a time, for all. */
const recordReader: FrameReader = new FrameReader();

/**
 * Reads the records of one batch after another without copying: values are views of the frame, which they keep alive.
 * Access in ascending order is cheapest. One thread.
 */
export class BatchReader {
  readonly #head: BatchHead = new BatchHead();
  #bytes: Uint8Array = EMPTY;
  #buffer: ArrayBufferLike = EMPTY.buffer;
  #byteOffset = 0;
  #start = 0;
  #checksum = NO_CHECKSUM;
  #count = 0;
  /** The record that #recordAt is the place of. */
  #index = 0;
  #recordAt = 0;

  /**
   * Takes the batch at `start`; what follows it up to `end` may be its checksum trailer.
   * @param buffer of `bytes`, from who has it at hand: asking for it costs as much as reading a small batch's head
   * @throws MillraceError INVALID_BATCH, COUNT_MISMATCH or UNSUPPORTED_FEATURE
   */
  reset(bytes: Uint8Array, start: number, end: number, buffer: ArrayBufferLike = bytes.buffer): void {
    this.#count = 0;
    const head = this.#head;
    const limit = Math.min(end, bytes.length);
    const outcome = head.parse(bytes, start, limit);
    if (outcome !== PARSED) refuseHead(outcome, head);
    const count = walkRecords(bytes, head.recordsStart, head.recordsEnd);
    if (count === MALFORMED)
      throw new MillraceError("INVALID_BATCH", "the records of a batch overlap its end");
    if (count !== head.count) {
      throw new MillraceError("COUNT_MISMATCH", `a batch states ${head.count} records and has ${count}`, {
        details: { stated: head.count, found: count },
      });
    }
    this.#bytes = bytes;
    this.#buffer = buffer;
    this.#byteOffset = bytes.byteOffset;
    this.#start = start;
    this.#count = count;
    this.#index = 0;
    this.#recordAt = head.recordsStart;
    const hasTrailer = limit - head.end >= CHECKSUM_TRAILER_BYTES && bytes[head.end] === MSGPACK.UINT_32;
    this.#checksum = hasTrailer ? readU32(bytes, head.end + 1) : NO_CHECKSUM;
  }

  /** Records in the batch. */
  get count(): number {
    return this.#count;
  }

  /** RECORD_FLAG bits. */
  get flags(): number {
    return this.#head.flags;
  }

  /** Position after the batch, in the bytes given to `reset`. */
  get end(): number {
    return this.#head.end;
  }

  /** Whether the batch still is what its producer made: true when the checksum fits, or when there is none. */
  verifyChecksum(checksum: number = this.#checksum): boolean {
    return checksum === NO_CHECKSUM || crc32(this.#bytes, this.#start, this.#head.end) === checksum;
  }

  /**
   * The raw bytes of record `index`'s value: of a string its UTF-8, of any other value that is not binary its
   * MessagePack; empty for a removed record. A view; no record object is made.
   * @throws MillraceError INVALID_BATCH when the record is not one
   */
  valueAt(index: number): Uint8Array {
    const content = this.#seek(index);
    const end = this.#recordAt;
    if (content === end) return EMPTY;
    const bytes = this.#bytes;
    let at = content + 1;
    let more = 0;
    if (bytes[content] !== (MSGPACK.FIX_ARRAY | RECORD_ELEMENTS)) {
      at = arrayHeaderEnd(bytes, content, end);
      more = at < 0 ? MALFORMED : arrayLength(bytes, content) - RECORD_ELEMENTS;
      if (more < 0) refuseRecord(index);
    }
    // attributes, key and headers, most often nil
    for (let i = 1; i < RECORD_ELEMENTS; i += 1) {
      at = at < end && bytes[at] === MSGPACK.NIL ? at + 1 : skipValue(bytes, at, end);
      if (at < 0) refuseRecord(index);
    }
    const valueEnd = skipValue(bytes, at, end);
    let last = valueEnd;
    for (; more > 0 && last >= 0; more -= 1) last = skipValue(bytes, last, end);
    if (last !== end) refuseRecord(index);
    const start = at + contentHeaderBytes(bytes[at] as number);
    return new Uint8Array(this.#buffer, this.#byteOffset + start, valueEnd - start);
  }

  /** Whether record `index` was erased. */
  isRemoved(index: number): boolean {
    return this.#seek(index) === this.#recordAt;
  }

  /**
   * Record `index`, decoded.
   * @throws MillraceError INVALID_BATCH when the record is not one
   */
  recordAt(index: number): IncomingRecord {
    const content = this.#seek(index);
    const end = this.#recordAt;
    if (content === end) return REMOVED;
    try {
      recordReader.reset(this.#bytes, content, end);
      return readRecord(recordReader);
    } catch (error) {
      throw new MillraceError("INVALID_BATCH", `record ${index} of a batch is malformed`, { cause: error });
    } finally {
      // It must not keep the frame alive.
      recordReader.reset(EMPTY, 0, 0);
    }
  }

  /** The values in order, as `valueAt` gives them. */
  *values(): IterableIterator<Uint8Array> {
    for (let i = 0; i < this.#count; i += 1) yield this.valueAt(i);
  }

  /** The records in order, decoded. */
  *[Symbol.iterator](): IterableIterator<IncomingRecord> {
    for (let i = 0; i < this.#count; i += 1) yield this.recordAt(i);
  }

  /** Start of the content of record `index`; #recordAt then is its end and the place of the next one. */
  #seek(index: number): number {
    if (!(index >= 0 && index < this.#count)) {
      throw new RangeError(`no such record: index=${index} count=${this.#count}`);
    }
    const bytes = this.#bytes;
    if (index < this.#index) {
      this.#index = 0;
      this.#recordAt = this.#head.recordsStart;
    }
    let at = this.#recordAt;
    let start = at;
    for (let i = this.#index; i <= index; i += 1) {
      const first = bytes[at];
      if (first === MSGPACK.BIN_8) {
        start = at + 2;
        at = start + (bytes[at + 1] as number);
      } else if (first === MSGPACK.BIN_16) {
        start = at + 3;
        at = start + readU16(bytes, at + 1);
      } else {
        start = at + 5;
        at = start + readU32(bytes, at + 1);
      }
    }
    this.#index = index + 1;
    this.#recordAt = at;
    return start;
  }
}

const REMOVED: IncomingRecord = {
  key: undefined,
  headers: undefined,
  value: undefined,
  timestamp: undefined,
  groupKey: undefined,
  removed: true,
};

function readRecord(reader: FrameReader): IncomingRecord {
  const elements = reader.arrayHeader();
  if (elements < RECORD_ELEMENTS) reader.malformed(`a record has ${RECORD_ELEMENTS} elements`);
  const attributes = reader.nil() ? undefined : reader.map();
  const key = reader.nil() ? undefined : reader.text();
  const headers = reader.nil() ? undefined : readHeaders(reader);
  const value = reader.any(LIMITS.valueNestingMax);
  for (let i = RECORD_ELEMENTS; i < elements; i += 1) reader.skip();
  if (reader.position !== reader.end) reader.malformed("bytes follow the record");
  const timestamp = attributes?.[RECORD_ATTRIBUTE.timestamp];
  const groupKey = attributes?.[RECORD_ATTRIBUTE.groupKey];
  return {
    key,
    headers,
    value,
    timestamp: typeof timestamp === "number" ? timestamp : undefined,
    groupKey: typeof groupKey === "string" ? groupKey : undefined,
    removed: false,
  };
}

function refuseHead(outcome: number, head: BatchHead): never {
  if (outcome === UNSUPPORTED) {
    const { version, codec, flags, schemaId } = head;
    throw new MillraceError("UNSUPPORTED_FEATURE", "a batch uses what this release does not know", {
      details: { version, codec, flags, schemaId },
    });
  }
  throw new MillraceError("INVALID_BATCH", "the head of a batch is malformed");
}

function refuseRecord(index: number): never {
  throw new MillraceError("INVALID_BATCH", `record ${index} of a batch is malformed`, { details: { index } });
}
