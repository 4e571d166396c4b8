import {
  BATCH_CODEC_AT,
  BATCH_COUNT_AT,
  BATCH_ELEMENTS,
  BATCH_FIRST_BYTE,
  BATCH_FLAGS_AT,
  BATCH_HEAD_BYTES,
  BATCH_RECORDS_AT,
  BATCH_SCHEMA_AT,
  BATCH_UNCOMPRESSED_AT,
  BATCH_VERSION,
  BATCH_VERSION_AT,
  CODEC_NONE,
  SCHEMA_NONE,
} from "./batch-layout.ts";
import { readU16, readU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED, UNSUPPORTED } from "./parse-outcome.ts";
import { RECORD_FLAGS_KNOWN, RECORD_FLAGS_UNSUPPORTED } from "./record-flags.ts";
import { skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength, readUints } from "./uint-format.ts";

/** The numbers of the head, in their order. */
const VERSION = 0;
const FLAGS = 1;
const CODEC = 2;
const COUNT = 3;
const UNCOMPRESSED = 4;
const SCHEMA = 5;
const NUMBERS = 6;
const UINT_32_MAX = 0xffff_ffff;

/** Where the numbers of a head of any width go while it is parsed: an array in each head would be most of what a small batch costs. */
const numbers: Float64Array = new Float64Array(NUMBERS);

/**
 * The head of a batch `[version, flags, codec, count, uncompressedBytes, schemaId, records, …]`, without its records.
 * One object is reused for every batch; parsing allocates nothing.
 */
export class BatchHead {
  version = 0;
  /** RECORD_FLAG bits. */
  flags = 0;
  codec = 0;
  /** Number of records as the head states it; walkRecords tells the truth. */
  count = 0;
  uncompressedBytes = 0;
  schemaId = 0;
  recordsStart = 0;
  recordsEnd = 0;
  /** Position after the batch. */
  end = 0;

  /** Parses the batch at `start`, which must end at or before `end`: PARSED, MALFORMED or UNSUPPORTED. */
  parse(bytes: Uint8Array, start: number, end: number): number {
    if (start < 0 || end > bytes.length) return MALFORMED;
    const accepted = isFixedHead(bytes, start, end)
      ? this.#parseFixed(bytes, start, end)
      : this.#parseAnyWidth(bytes, start, end);
    if (!accepted) return MALFORMED;
    if (this.version !== BATCH_VERSION || this.codec !== CODEC_NONE || this.schemaId !== SCHEMA_NONE) {
      return UNSUPPORTED;
    }
    const flags = this.flags;
    if (flags > RECORD_FLAGS_KNOWN || (flags & RECORD_FLAGS_UNSUPPORTED) !== 0) return UNSUPPORTED;
    return this.uncompressedBytes === this.recordsEnd - this.recordsStart ? PARSED : MALFORMED;
  }

  /** The head as BatchBuilder writes it: a third of the time, on a path that every frame takes three times. */
  #parseFixed(bytes: Uint8Array, start: number, end: number): boolean {
    const recordsStart = start + BATCH_HEAD_BYTES;
    const recordsEnd = recordsStart + readU32(bytes, start + BATCH_RECORDS_AT + 1);
    if (recordsEnd > end) return false;
    this.version = bytes[start + BATCH_VERSION_AT] as number;
    this.flags = bytes[start + BATCH_FLAGS_AT] as number;
    this.codec = bytes[start + BATCH_CODEC_AT] as number;
    this.count = readU32(bytes, start + BATCH_COUNT_AT + 1);
    this.uncompressedBytes = readU32(bytes, start + BATCH_UNCOMPRESSED_AT + 1);
    this.schemaId = bytes[start + BATCH_SCHEMA_AT] as number;
    this.recordsStart = recordsStart;
    this.recordsEnd = recordsEnd;
    this.end = recordsEnd;
    return true;
  }

  #parseAnyWidth(bytes: Uint8Array, start: number, end: number): boolean {
    let at = arrayHeaderEnd(bytes, start, end);
    if (at < 0) return false;
    const elements = arrayLength(bytes, start);
    if (elements < BATCH_ELEMENTS) return false;
    at = readUints(bytes, at, end, numbers, NUMBERS);
    if (at < 0 || (numbers[COUNT] as number) > UINT_32_MAX) return false;

    const recordsStart = binStart(bytes, at, end);
    if (recordsStart < 0) return false;
    const recordsEnd = recordsStart + binLength(bytes, at);
    if (recordsEnd > end) return false;
    at = recordsEnd;
    for (let extra = elements - BATCH_ELEMENTS; extra > 0; extra -= 1) {
      at = skipValue(bytes, at, end);
      if (at < 0) return false;
    }

    this.version = numbers[VERSION] as number;
    this.flags = numbers[FLAGS] as number;
    this.codec = numbers[CODEC] as number;
    this.count = numbers[COUNT] as number;
    this.uncompressedBytes = numbers[UNCOMPRESSED] as number;
    this.schemaId = numbers[SCHEMA] as number;
    this.recordsStart = recordsStart;
    this.recordsEnd = recordsEnd;
    this.end = at;
    return true;
  }
}

/** Whether every field of the head has the width that batch-layout.ts draws. */
function isFixedHead(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start >= BATCH_HEAD_BYTES &&
    bytes[start] === BATCH_FIRST_BYTE &&
    bytes[start + BATCH_COUNT_AT] === MSGPACK.UINT_32 &&
    bytes[start + BATCH_UNCOMPRESSED_AT] === MSGPACK.UINT_32 &&
    bytes[start + BATCH_RECORDS_AT] === MSGPACK.BIN_32 &&
    ((bytes[start + BATCH_VERSION_AT] as number) |
      (bytes[start + BATCH_FLAGS_AT] as number) |
      (bytes[start + BATCH_CODEC_AT] as number) |
      (bytes[start + BATCH_SCHEMA_AT] as number)) <
      MSGPACK.FIX_MAP
  );
}

/** Where the content of the bin at `at` starts, or MALFORMED when there is no bin. */
function binStart(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 2) return MALFORMED;
  const first = bytes[at] as number;
  if (first === MSGPACK.BIN_32) return end - at < 5 ? MALFORMED : at + 5;
  if (first === MSGPACK.BIN_16) return end - at < 3 ? MALFORMED : at + 3;
  return first === MSGPACK.BIN_8 ? at + 2 : MALFORMED;
}

/** Length of the bin that binStart has accepted. */
function binLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first === MSGPACK.BIN_32) return readU32(bytes, at + 1);
  return first === MSGPACK.BIN_16 ? readU16(bytes, at + 1) : (bytes[at + 1] as number);
}
