import { CORE_LIMITS } from "../limits.ts";
import { alignRecord, RECORD_HEADER_BYTES } from "../ring/ring-layout.ts";
import { LINE_BYTES } from "../shared-header.ts";

/**
 * The control bytes of a channel; its rings and doorbells are memory of their own.
 *
 *     byte   0 | magic | version | kind | capacity | ...     line 0: shared-header.ts, with the capacity of each ring; written once
 *     byte 128 | state of side 0 int32  | ...                line 1: written by side 0
 *     byte 256 | state of side 1 int32  | ...                line 2: written by side 1
 *     byte 384 | space wanted by side 0 | ...                line 3: bytes; set by side 0, taken down by side 1
 *     byte 512 | space wanted by side 1 | ...                line 4: bytes; set by side 1, taken down by side 0
 *
 *     state: WAITING --connect--> CONNECTED --close--> CLOSED
 *
 * Side 0 writes ring 0 and sleeps on doorbell 0; side 1 reads ring 0. A side stores CLOSED after its last publish, so whoever
 * loads CLOSED and looks into the ring after that sees all that will ever be there.
 */
export type ChannelSide = 0 | 1;

const LINE_WORDS: number = LINE_BYTES / 4;

export const CHANNEL_BYTES: number = 5 * LINE_BYTES;

/** Nobody has connected to this side yet. */
export const WAITING = 0;
export const CONNECTED = 1;
/** This side has published its last record. */
export const CLOSED = 2;

/** Index into an Int32Array over the whole buffer. */
export function stateWord(side: ChannelSide): number {
  return (1 + side) * LINE_WORDS;
}

/** Index into an Int32Array over the whole buffer. */
export function wantedWord(side: ChannelSide): number {
  return (3 + side) * LINE_WORDS;
}

/**
 * Bytes that must be free for a claim of `length` to succeed wherever the data region ends: the record once, and once more as padding
 * in front of it.
 */
export function spaceFor(length: number): number {
  return 2 * alignRecord(length + RECORD_HEADER_BYTES);
}

if (2 / CORE_LIMITS.recordsPerRingMin > 1) {
  throw new RangeError(
    "recordsPerRingMin must let the longest record and as much padding fit into an empty ring",
  );
}
