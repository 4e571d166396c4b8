import { LINE_BYTES, SharedKind } from "../shared-header.ts";
import type { RingGeometry } from "./ring-memory.ts";

/**
 * The bytes of a record, which both rings share, and of a one-to-one ring.
 *
 *     byte    0 | magic | version | kind | capacity | ...             line 0: shared-header.ts; written once by allocate
 *     byte  128 | tail int32  | ...                                   line 1: written by the producer only
 *     byte  256 | head int32  | ...                                   line 2: written by the consumer only
 *     byte  384 | records ... capacity bytes                          the data region
 *     end - 128 | ...                                                 a trailing line, so that nothing that
 *               |                                                     is allocated behind shares the last one
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
 * Head and tail hold the low 32 bits of positions in bytes, which only ever grow.
 */

/** Indexes into an Int32Array over the whole buffer. */
export const TAIL_WORD: number = LINE_BYTES / 4;
export const HEAD_WORD: number = (2 * LINE_BYTES) / 4;

/** Byte offset of the data region in the buffer. */
export const DATA_START: number = 3 * LINE_BYTES;

export const ONE_TO_ONE_GEOMETRY: RingGeometry = {
  kind: SharedKind.ONE_TO_ONE_RING,
  overheadBytes: DATA_START + LINE_BYTES,
  positionUnitBytes: 1,
  tailWord: TAIL_WORD,
  headWord: HEAD_WORD,
};

/** Bytes of length and type in front of each payload. */
export const RECORD_HEADER_BYTES = 8;
/** Records start at multiples of this; copies between aligned memory are several times faster. */
export const RECORD_ALIGNMENT = 8;
/** Type of a record without a payload of its own, which consumers step over. */
export const PADDING_TYPE = -1;

/** Bytes that a record of `length` (header and payload) takes in the ring: the next multiple of 8. */
export function alignRecord(length: number): number {
  return (length + (RECORD_ALIGNMENT - 1)) & -RECORD_ALIGNMENT;
}
