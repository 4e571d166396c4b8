import { LINE_BYTES, SharedKind } from "../shared-header.ts";
import type { RingGeometry } from "./ring-memory.ts";

/**
 * The bytes of a many-to-one ring. Records are those of ring-layout.ts, in four states.
 *
 *     byte    0 | magic | version | kind | capacity | ...    line 0: shared-header.ts; written once by allocate
 *     byte  128 | tail int32  | ...                          line 1: claimed by all producers
 *     byte  256 | head cache | ...                           line 2: the head of a while ago; written by the consumer, some times a lap
 *     byte  384 | head int32  | ...                          line 3: written by the consumer, once a batch
 *     byte  512 | records ... capacity bytes                 the data region
 *     end - 128 | ...                                        a trailing line, so that nothing that is
 *               |                                            allocated behind shares the last one
 *
 *      length  type           a place where a record may start (any multiple of 8 between head and tail)
 *     +-------+-------+
 *     |   0   |   0   |       free, or claimed a moment ago: the tail has moved, its producer has not written yet
 *     +-------+-------+
 *     |  -n   | type  |       claimed: n bytes with this header, still being filled
 *     +-------+-------+
 *     |   n   | type  |       committed
 *     +-------+-------+
 *     |   n   |  -1   |       padding: the rest of the region, an aborted claim, what commitLength left over, or a claim
 *     +-------+-------+       that unblock took away
 *
 * Everything outside head to tail is zero: the consumer zeroes what it has read before it moves the head, since the next lap's
 * records may start at any multiple of 8 and each must be found unwritten.
 *
 * Tail, head cache and head hold the low 32 bits of positions in units of 8 bytes: they wrap after 32 GiB.
 */
export const UNIT_BYTES = 8;

/** Indexes into an Int32Array over the whole buffer. */
export const MANY_TAIL_WORD: number = LINE_BYTES / 4;
export const MANY_HEAD_CACHE_WORD: number = (2 * LINE_BYTES) / 4;
export const MANY_HEAD_WORD: number = (3 * LINE_BYTES) / 4;

/** Byte offset of the data region in the buffer. */
export const MANY_DATA_START: number = 4 * LINE_BYTES;

export const MANY_TO_ONE_GEOMETRY: RingGeometry = {
  kind: SharedKind.MANY_TO_ONE_RING,
  overheadBytes: MANY_DATA_START + LINE_BYTES,
  positionUnitBytes: UNIT_BYTES,
  tailWord: MANY_TAIL_WORD,
  headWord: MANY_HEAD_WORD,
};
