/**
 * The bytes of a ring, and the only place that knows where they are.
 *
 *     byte    0 | magic int32 | version int32 | capacity int32 | ...      line 0: written once by allocate
 *     byte  128 | tail int32  | ...                                       line 1: written by the producer only
 *     byte  256 | head int32  | ...                                       line 2: written by the consumer only
 *     byte  384 | records ... capacity bytes                              the data region
 *     end - 128 | ...                                                     a trailing line, so that nothing that
 *               |                                                         is allocated behind shares the last one
 *
 *     record, 8-aligned:
 *
 *      0        4        8                    length       next multiple of 8
 *      +--------+--------+--------------------+------------+
 *      | length | type   | payload            | zeros      |
 *      +--------+--------+--------------------+------------+
 *
 * `length` counts the record's header and payload, without the zeros behind it. `type` is positive;
 * PADDING_TYPE marks the rest of the data region as unused, and the next record stands at index 0.
 * Head and tail hold the low 32 bits of positions, which only ever grow. Lines are 128 bytes, since the
 * adjacent-line prefetcher of x86 moves lines of 64 in pairs and the lines of Apple's chips have 128.
 * All integers have the byte order of the machine: a ring does not leave its process.
 */

/** "MRRG" read as a little-endian int32. */
export const RING_MAGIC = 0x4752_524d;
/** Raised whenever the picture above changes. */
export const RING_VERSION = 1;

/** Bytes kept apart for a word that another thread writes. */
export const LINE_BYTES = 128;

/** Indexes into an Int32Array over the whole buffer. */
export const MAGIC_WORD: number = 0;
export const VERSION_WORD: number = 1;
export const CAPACITY_WORD: number = 2;
export const TAIL_WORD: number = LINE_BYTES / 4;
export const HEAD_WORD: number = (2 * LINE_BYTES) / 4;

/** Byte offset of the data region in the buffer. */
export const DATA_START: number = 3 * LINE_BYTES;
/** Bytes that a ring needs beyond its capacity. */
export const OVERHEAD_BYTES: number = DATA_START + LINE_BYTES;

/** Smallest ring whose records have a payload at all, in bytes. */
export const CAPACITY_BYTES_MIN = 128;
/** Largest ring, in bytes: differences of positions must stay positive as int32. */
export const CAPACITY_BYTES_MAX: number = 2 ** 30;

/** Bytes of length and type in front of each payload. */
export const RECORD_HEADER_BYTES = 8;
/** Records start at multiples of this; copies between aligned memory are several times faster. */
export const RECORD_ALIGNMENT = 8;
/** Type of the record that fills the end of the data region when the next one does not fit there. */
export const PADDING_TYPE = -1;
/** A record takes at most this part of the capacity, so that a claim never waits for an empty ring. */
export const RECORDS_PER_RING_MIN = 8;
/** The tail is published at the latest when this many bytes are committed. */
export const UNPUBLISHED_BYTES_MAX: number = 64 * 1024;

/** Bytes that a record of `length` (header and payload) takes in the ring: the next multiple of 8. */
export function alignRecord(length: number): number {
  return (length + (RECORD_ALIGNMENT - 1)) & -RECORD_ALIGNMENT;
}
