import { readU32, writeU32, writeU64 } from "./big-endian.ts";
import { FRAME_TYPE } from "./frame-type.ts";
import { MSGPACK } from "./msgpack-format.ts";

// A DELIVER frame as the server writes it, every number at a fixed width so that a frame is laid around stored
// payloads without moving them:
//
//   head    94 | 22 | ce streamId u32 | cf nextOffset u64 | dd entryCount u32                       21 bytes
//   entry   95 | cf baseOffset u64 | ce count u32 | cf appendTimeMs u64                              24 bytes
//           then the stored payload: batch, ce, crc32 u32

export const DELIVER_HEAD_BYTES = 21;
export const DELIVER_ENTRY_HEAD_BYTES = 24;
const DELIVER_ELEMENTS = 4;
const DELIVER_ENTRY_ELEMENTS = 5;

/** Writes a frame's head at `at`. `streamId` and `entryCount` are u32, `nextOffset` is an integer up to 2^53-1. */
export function writeDeliverHead(
  bytes: Uint8Array,
  at: number,
  streamId: number,
  nextOffset: number,
  entryCount: number,
): void {
  bytes[at] = MSGPACK.FIX_ARRAY | DELIVER_ELEMENTS;
  bytes[at + 1] = FRAME_TYPE.DELIVER;
  bytes[at + 2] = MSGPACK.UINT_32;
  writeU32(bytes, at + 3, streamId);
  bytes[at + 7] = MSGPACK.UINT_64;
  writeU64(bytes, at + 8, nextOffset);
  bytes[at + 16] = MSGPACK.ARRAY_32;
  writeU32(bytes, at + 17, entryCount);
}

/** Entries of the frame whose head writeDeliverHead has written at `at`. */
export function deliverEntryCount(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 17);
}

/** The frame at `at` has more entries now. */
export function extendDeliverHead(
  bytes: Uint8Array,
  at: number,
  nextOffset: number,
  entryCount: number,
): void {
  writeU64(bytes, at + 8, nextOffset);
  writeU32(bytes, at + 17, entryCount);
}

/** Writes an entry's head at `at`; its stored payload follows it. */
export function writeDeliverEntryHead(
  bytes: Uint8Array,
  at: number,
  baseOffset: number,
  count: number,
  appendTimeMs: number,
): void {
  bytes[at] = MSGPACK.FIX_ARRAY | DELIVER_ENTRY_ELEMENTS;
  bytes[at + 1] = MSGPACK.UINT_64;
  writeU64(bytes, at + 2, baseOffset);
  bytes[at + 10] = MSGPACK.UINT_32;
  writeU32(bytes, at + 11, count);
  bytes[at + 15] = MSGPACK.UINT_64;
  writeU64(bytes, at + 16, appendTimeMs);
}
