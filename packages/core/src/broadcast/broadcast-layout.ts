import { type ByteView, byteView } from "../byte-view.ts";
import { CORE_LIMITS } from "../limits.ts";
import { allocateShared, checkHeader, LINE_BYTES, SharedKind, writeHeader } from "../shared-header.ts";

/**
 * The bytes of a broadcast buffer.
 *
 *     byte   0 | magic | version | kind | capacity | ...     line 0: shared-header.ts; written once by allocate
 *     byte 128 | intent | tail | latest | ...                line 1: written by the transmitter, once each a record
 *     byte 256 | records ... capacity bytes                  the data region
 *     end -128 | ...                                         a trailing line, so that nothing that is
 *              |                                             allocated behind shares the last one
 *
 * Three positions, of two words each (broadcast-position.ts), that only ever grow:
 *
 *     latest   where the last whole record begins: here a receiver joins, and goes on after it was lapped
 *     tail     where the last whole record ends: below it there is something to receive
 *     intent   up to where the transmitter may be writing: what lies below intent - capacity is being overwritten
 *
 *       intent - capacity                    latest       tail          intent
 *     ------+-----------------------------------+-----------+--------------+
 *      gone | whole                             | whole     | being written|
 *     ------+-----------------------------------+-----------+--------------+
 *
 * They share a line, since the transmitter writes all three for each record, and a line that receivers read has to be fetched
 * anew after each of them.
 *
 *     record, 16-aligned:
 *
 *      0        4        8                       16                length       next multiple of 16
 *      +--------+--------+-----------+-----------+-----------------+------------+
 *      | length | type   | sequence low,    high | payload         | unused     |
 *      +--------+--------+-----------+-----------+-----------------+------------+
 *
 * `length` counts header and payload. `type` is positive, or PADDING_TYPE for the end of the region where the next record did
 * not fit, and for claims that were not finished. `sequence` counts the records from 0 on, by which receivers know how many they
 * missed; padding carries that of the next record. Alignment is that of the header, so that padding always has room for one.
 */

/** Indexes into an Int32Array over the whole buffer; the high word of each position follows. */
export const INTENT_WORD: number = LINE_BYTES / 4;
export const BROADCAST_TAIL_WORD: number = INTENT_WORD + 2;
export const LATEST_WORD: number = INTENT_WORD + 4;

/** Byte offset of the data region in the buffer. */
export const BROADCAST_DATA_START: number = 2 * LINE_BYTES;
const OVERHEAD_BYTES: number = BROADCAST_DATA_START + LINE_BYTES;

/** Bytes in front of each payload. */
export const BROADCAST_HEADER_BYTES = 16;
/** Records start at multiples of this. */
export const BROADCAST_ALIGNMENT = 16;
/** Type of a record without a payload, which receivers step over. */
export const PADDING_TYPE = -1;

/** Words of a record's header, from its first. */
export const LENGTH_WORD = 0;
export const TYPE_WORD = 1;
export const SEQUENCE_LOW_WORD = 2;
export const SEQUENCE_HIGH_WORD = 3;

/** Bytes that a record of `length` (header and payload) takes: the next multiple of 16. */
export function alignBroadcast(length: number): number {
  return (length + (BROADCAST_ALIGNMENT - 1)) & -BROADCAST_ALIGNMENT;
}

/** Longest payload in bytes. */
export function maxPayload(capacity: number): number {
  return capacity / CORE_LIMITS.recordsPerRingMin - BROADCAST_HEADER_BYTES;
}

/** Memory for a broadcast whose first record starts at `startPosition`. @throws RangeError */
export function allocateBroadcast(capacityBytes: number, startPosition: number): SharedArrayBuffer {
  if (!isCapacity(capacityBytes)) {
    const { broadcastCapacityBytesMin: least, ringCapacityBytesMax: most } = CORE_LIMITS;
    throw new RangeError(
      `capacity must be a power of two from ${least} to ${most}: capacity=${capacityBytes}`,
    );
  }
  if (
    !Number.isSafeInteger(startPosition) ||
    startPosition < 0 ||
    startPosition % BROADCAST_ALIGNMENT !== 0
  ) {
    throw new RangeError(
      `startPosition must be a multiple of ${BROADCAST_ALIGNMENT}: startPosition=${startPosition}`,
    );
  }
  const buffer = allocateShared(capacityBytes + OVERHEAD_BYTES);
  writeHeader(buffer, SharedKind.BROADCAST, capacityBytes);
  return buffer;
}

/** Checks that `buffer` holds a broadcast. @returns its capacity. @throws TypeError, RangeError with the values that do not fit. */
export function checkBroadcast(buffer: SharedArrayBuffer): number {
  return checkHeader(buffer, SharedKind.BROADCAST, (bytes) =>
    isCapacity(bytes) ? bytes + OVERHEAD_BYTES : undefined,
  );
}

/** The data region as bytes; a Buffer where the platform has one. */
export function broadcastBytes(buffer: SharedArrayBuffer, capacity: number): ByteView {
  return byteView(buffer, BROADCAST_DATA_START, capacity);
}

function isCapacity(bytes: number): boolean {
  return (
    Number.isInteger(bytes) &&
    bytes >= CORE_LIMITS.broadcastCapacityBytesMin &&
    bytes <= CORE_LIMITS.ringCapacityBytesMax &&
    (bytes & (bytes - 1)) === 0
  );
}
