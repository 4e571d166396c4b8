import {
  BATCH_CODEC_AT,
  BATCH_COUNT_AT,
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
import { writeU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";

/** Up to this many bytes a loop is faster than building a view. */
const LOOP_BYTES_MAX = 32;
/** From this many bytes on `fill` wins: into shared memory `set` copies misaligned bytes one by one. */
const FILL_BYTES_MIN = 160;
const FIXINT_MAX = 0x7f;

/** Absent in browsers. */
const nativeFill: typeof Buffer.prototype.fill | undefined =
  typeof Buffer === "undefined" ? undefined : Buffer.prototype.fill;

/** Bytes of the head of a batch with these flags, as writeBatchHead writes it. */
export function batchHeadBytes(flags: number): number {
  return flags > FIXINT_MAX ? BATCH_HEAD_BYTES + 1 : BATCH_HEAD_BYTES;
}

/**
 * Writes the head of a batch of `count` records that take `recordsBytes`, and returns the position where they go.
 * `flags` are RECORD_FLAG bits; more than the records have are no harm.
 */
export function writeBatchHead(
  target: Uint8Array,
  at: number,
  flags: number,
  count: number,
  recordsBytes: number,
): number {
  target[at] = BATCH_FIRST_BYTE;
  target[at + BATCH_VERSION_AT] = BATCH_VERSION;
  let base = at;
  if (flags > FIXINT_MAX) {
    target[at + BATCH_FLAGS_AT] = MSGPACK.UINT_8;
    base += 1;
  }
  target[base + BATCH_FLAGS_AT] = flags;
  target[base + BATCH_CODEC_AT] = CODEC_NONE;
  target[base + BATCH_COUNT_AT] = MSGPACK.UINT_32;
  writeU32(target, base + BATCH_COUNT_AT + 1, count);
  target[base + BATCH_UNCOMPRESSED_AT] = MSGPACK.UINT_32;
  writeU32(target, base + BATCH_UNCOMPRESSED_AT + 1, recordsBytes);
  target[base + BATCH_SCHEMA_AT] = SCHEMA_NONE;
  target[base + BATCH_RECORDS_AT] = MSGPACK.BIN_32;
  writeU32(target, base + BATCH_RECORDS_AT + 1, recordsBytes);
  return base + BATCH_HEAD_BYTES;
}

/**
 * Writes a batch of `count` consecutive records of a stored batch, which stand with their own headers in
 * source[recordsStart, recordsEnd), and returns the position after it: `at` + batchHeadBytes(flags) + their bytes. The
 * caller has made room.
 */
export function writeBatchPart(
  target: Uint8Array,
  at: number,
  flags: number,
  count: number,
  source: Uint8Array,
  recordsStart: number,
  recordsEnd: number,
): number {
  const length = recordsEnd - recordsStart;
  const start = writeBatchHead(target, at, flags, count, length);
  const end = start + length;
  if (length <= LOOP_BYTES_MAX) {
    for (let i = 0; i < length; i += 1) target[start + i] = source[recordsStart + i] as number;
    return end;
  }
  const view = new Uint8Array(source.buffer, source.byteOffset + recordsStart, length);
  if (length >= FILL_BYTES_MIN && nativeFill !== undefined) nativeFill.call(target, view, start, end);
  else target.set(view, start);
  return end;
}
