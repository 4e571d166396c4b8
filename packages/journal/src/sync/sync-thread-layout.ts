/**
 * What a shard and its sync thread share, as int32 words. Positions are in units of 8 bytes, low 32 bits: two that
 * stand here at the same time are never 32 GiB apart.
 *
 *     word   0 | signal         raised by the shard after each request and to close; the sync thread sleeps on it
 *            1 | request tail   requests ever put into slots
 *            2 | closing        1: serve nothing more and end
 *           32 | request head   requests ever taken from slots; written by the sync thread, as all behind it
 *           33 | committed      position
 *           34 | failure        0, an errno, or one of the FAILURE_ numbers; final
 *           35 | ended          1: the sync thread touches no file any more
 *           64 | slots ...      64 times | fd | position | flags | - |
 */
import { JOURNAL_LIMITS } from "../limits.ts";

export const SIGNAL_WORD = 0;
export const REQUEST_TAIL_WORD = 1;
export const CLOSING_WORD = 2;
export const REQUEST_HEAD_WORD = 32;
export const COMMITTED_WORD = 33;
export const FAILURE_WORD = 34;
export const ENDED_WORD = 35;
const SLOTS_WORD = 64;
const SLOT_WORDS = 4;

export const SLOT_FD = 0;
export const SLOT_POSITION = 1;
export const SLOT_FLAGS = 2;
/** In a slot's flags: sync the folder first. */
export const SLOT_SYNC_DIRECTORY = 1;

/** The shard has another owner. */
export const FAILURE_FENCED = 0x7fff_0001;
/** An error without an errno. */
export const FAILURE_UNKNOWN = 0x7fff_0002;
/** The sync thread ended by itself. */
export const FAILURE_DIED = 0x7fff_0003;

/** Positions are multiples of this. */
export const POSITION_UNIT = 8;

export const SYNC_THREAD_BYTES: number = (SLOTS_WORD + JOURNAL_LIMITS.syncRequestsMax * SLOT_WORDS) * 4;

/** Word index of the slot of the n-th request. */
export function slotWord(request: number): number {
  return SLOTS_WORD + ((request >>> 0) % JOURNAL_LIMITS.syncRequestsMax) * SLOT_WORDS;
}

/** What the thread is started with. */
export interface SyncThreadData {
  readonly shared: SharedArrayBuffer;
  /** Wakes the shard's thread. */
  readonly doorbell: SharedArrayBuffer | undefined;
  readonly directory: string;
  readonly epoch: number;
}
