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
