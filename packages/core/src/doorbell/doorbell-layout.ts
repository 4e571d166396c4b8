import { LINE_BYTES } from "../shared-header.ts";

/**
 * The bytes of a doorbell:
 *
 *     byte   0 | magic | version | kind | 0 | ...    line 0: shared-header.ts; written once by allocate
 *     byte 128 | state int32 | ...                   line 1: AWAKE, BLOCKED or PARKED
 *
 *               prepareSleep                    park
 *     BLOCKED <-------------- AWAKE --------------> PARKED
 *        |                     ^ ^                     |
 *        +---------------------+ +---------------------+
 *         ring: CAS, notify         ring: CAS, poke
 *         sleeper: cancelSleep, end of wait
 *
 * The sleeper alone leaves AWAKE. Back to AWAKE goes whoever comes first, and if that is a ringer, it wakes the sleeper.
 */

/** Index into an Int32Array over the whole buffer. */
export const STATE_WORD: number = LINE_BYTES / 4;

export const DOORBELL_BYTES: number = 2 * LINE_BYTES;

/** The sleeper looks into its rings by itself; a ring costs one load. */
export const AWAKE = 0;
/** The sleeper is in Atomics.wait or Atomics.waitAsync, or on its way there: Atomics.notify wakes it. */
export const BLOCKED = 1;
/** The sleeper has returned to its event loop, or is on its way there: only a message reaches it. */
export const PARKED = 2;
