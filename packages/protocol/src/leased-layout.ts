import { writeU32, writeU64 } from "./big-endian.ts";
import { FRAME_TYPE } from "./frame-type.ts";
import { MSGPACK } from "./msgpack-format.ts";

// A LEASED frame as a shard writes it, every number at a fixed width as in deliver-layout.ts:
//
//   head    93 | 47 | ce consumerId u32 | dd rowCount u32                                           12 bytes
//   row     9a | ce topicId u32 | ce partition u32 | cf baseOffset u64 | ce count u32 |
//           cf appendTimeMs u64 | ce deliveryCount u32 | ce leaseEpoch u32 | cf leaseCounter u64     53 bytes
//           then the stored payload: batch, ce, crc32 u32, if the lease covers the whole of it;
//           else a batch of the leased records alone (writeBatchHead) and c0, no checksum

export const LEASED_HEAD_BYTES = 12;
export const LEASED_ROW_HEAD_BYTES = 53;
/** Of the nil that follows a batch without checksum. */
export const LEASED_NO_CHECKSUM_BYTES = 1;
const LEASED_ELEMENTS = 3;
const LEASED_ROW_ELEMENTS = 10;

/** Writes a frame's head at `at`. Both numbers are u32. */
export function writeLeasedHead(bytes: Uint8Array, at: number, consumerId: number, rowCount: number): void {
  bytes[at] = MSGPACK.FIX_ARRAY | LEASED_ELEMENTS;
  bytes[at + 1] = FRAME_TYPE.LEASED;
  bytes[at + 2] = MSGPACK.UINT_32;
  writeU32(bytes, at + 3, consumerId);
  bytes[at + 7] = MSGPACK.ARRAY_32;
  writeU32(bytes, at + 8, rowCount);
}

/**
 * Writes a row's head at `at`; its batch follows it. `baseOffset`, `appendTimeMs` and `leaseCounter` are integers up to
 * 2^53-1, the others u32.
 */
export function writeLeasedRowHead(
  bytes: Uint8Array,
  at: number,
  topicId: number,
  partition: number,
  baseOffset: number,
  count: number,
  appendTimeMs: number,
  deliveryCount: number,
  leaseEpoch: number,
  leaseCounter: number,
): void {
  bytes[at] = MSGPACK.FIX_ARRAY | LEASED_ROW_ELEMENTS;
  bytes[at + 1] = MSGPACK.UINT_32;
  writeU32(bytes, at + 2, topicId);
  bytes[at + 6] = MSGPACK.UINT_32;
  writeU32(bytes, at + 7, partition);
  bytes[at + 11] = MSGPACK.UINT_64;
  writeU64(bytes, at + 12, baseOffset);
  bytes[at + 20] = MSGPACK.UINT_32;
  writeU32(bytes, at + 21, count);
  bytes[at + 25] = MSGPACK.UINT_64;
  writeU64(bytes, at + 26, appendTimeMs);
  bytes[at + 34] = MSGPACK.UINT_32;
  writeU32(bytes, at + 35, deliveryCount);
  bytes[at + 39] = MSGPACK.UINT_32;
  writeU32(bytes, at + 40, leaseEpoch);
  bytes[at + 44] = MSGPACK.UINT_64;
  writeU64(bytes, at + 45, leaseCounter);
}

/** Writes what stands for the checksum of a batch that has none, and returns the position after it. */
export function writeLeasedNoChecksum(bytes: Uint8Array, at: number): number {
  bytes[at] = MSGPACK.NIL;
  return at + LEASED_NO_CHECKSUM_BYTES;
}
