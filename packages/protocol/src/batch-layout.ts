import { writeU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";

// The batch as this package writes it. Numbers that are known only at the end have a fixed width, so that they are
// patched in place; readers accept any width.
//
//   0    1       2     3     4        5      9 10        14 15     16  17     20
//   +----+-------+-----+-----+--------+--------+-----------+------+---+--------+------------------+--------+
//   | 97 |version|flags|codec| ce     | count  | ce | uncompressedBytes | schemaId | c6 | length u32 | records |
//   +----+-------+-----+-----+--------+--------+-----------+------+---+--------+------------------+--------+
//   |<------------------------------- batch (the checksum covers this) --------------------------------->|
//   then the trailer: ce, crc32 of the batch as u32. Batch and trailer together are the stored payload, the same
//   bytes on the wire, in a ring, on disk and at a consumer.

export const BATCH_VERSION = 1;
export const CODEC_NONE = 0;
export const SCHEMA_NONE = 0;

export const BATCH_ELEMENTS = 7;
export const BATCH_HEAD_BYTES = 20;
export const BATCH_VERSION_AT = 1;
export const BATCH_FLAGS_AT = 2;
export const BATCH_CODEC_AT = 3;
export const BATCH_COUNT_AT = 4;
export const BATCH_UNCOMPRESSED_AT = 9;
export const BATCH_SCHEMA_AT = 14;
export const BATCH_RECORDS_AT = 15;

export const BATCH_FIRST_BYTE: number = MSGPACK.FIX_ARRAY | BATCH_ELEMENTS;
export const CHECKSUM_TRAILER_BYTES = 5;
const FIXINT_MAX = 0x7f;

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
