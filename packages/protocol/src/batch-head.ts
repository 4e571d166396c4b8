import { BATCH_ELEMENTS, BATCH_VERSION, CODEC_NONE, SCHEMA_NONE } from "./batch-layout.ts";
import { readU16, readU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED, UNSUPPORTED } from "./parse-outcome.ts";
import { RECORD_FLAGS_KNOWN, RECORD_FLAGS_UNSUPPORTED } from "./record-flags.ts";
import { skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength, readUint, uintWidth } from "./uint-format.ts";

const UINT_32_MAX = 0xffff_ffff;

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
    let at = arrayHeaderEnd(bytes, start, end);
    if (at < 0) return MALFORMED;
    const elements = arrayLength(bytes, start);
    if (elements < BATCH_ELEMENTS) return MALFORMED;

    const version = readUint(bytes, at, end);
    if (version < 0) return MALFORMED;
    at += uintWidth(bytes, at);
    const flags = readUint(bytes, at, end);
    if (flags < 0) return MALFORMED;
    at += uintWidth(bytes, at);
    const codec = readUint(bytes, at, end);
    if (codec < 0) return MALFORMED;
    at += uintWidth(bytes, at);
    const count = readUint(bytes, at, end);
    if (count < 0 || count > UINT_32_MAX) return MALFORMED;
    at += uintWidth(bytes, at);
    const uncompressedBytes = readUint(bytes, at, end);
    if (uncompressedBytes < 0) return MALFORMED;
    at += uintWidth(bytes, at);
    const schemaId = readUint(bytes, at, end);
    if (schemaId < 0) return MALFORMED;
    at += uintWidth(bytes, at);

    const recordsStart = binStart(bytes, at, end);
    if (recordsStart < 0) return MALFORMED;
    const recordsEnd = recordsStart + binLength(bytes, at);
    if (recordsEnd > end) return MALFORMED;
    at = recordsEnd;
    for (let extra = elements - BATCH_ELEMENTS; extra > 0; extra -= 1) {
      at = skipValue(bytes, at, end);
      if (at < 0) return MALFORMED;
    }

    this.version = version;
    this.flags = flags;
    this.codec = codec;
    this.count = count;
    this.uncompressedBytes = uncompressedBytes;
    this.schemaId = schemaId;
    this.recordsStart = recordsStart;
    this.recordsEnd = recordsEnd;
    this.end = at;
    if (version !== BATCH_VERSION || codec !== CODEC_NONE || schemaId !== SCHEMA_NONE) return UNSUPPORTED;
    if (flags > RECORD_FLAGS_KNOWN || (flags & RECORD_FLAGS_UNSUPPORTED) !== 0) return UNSUPPORTED;
    return uncompressedBytes === recordsEnd - recordsStart ? PARSED : MALFORMED;
  }
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
