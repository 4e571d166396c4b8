import { BROKER_LIMITS } from "../limits.ts";

/** Takes the answers to fetches: exactly one for each. `bytes` is ring memory, valid until the call returns. */
export interface FetchListener {
  /** bytes[frameStart, frameEnd) is a DELIVER frame, whose first entry holds the offset asked for. */
  onFetched(fetchId: number, bytes: Buffer, frameStart: number, frameEnd: number): void;
  /** There are no records below nextOffset; PROGRESS_GAP or PROGRESS_DAMAGE. At the offset asked for: ask again. */
  onNothingThere(fetchId: number, nextOffset: number, reason: number): void;
  /** The next entry's frame takes so many bytes. */
  onNeedsBytes(fetchId: number, bytes: number): void;
  /** It could not be read; the reader thread has logged why. */
  onFetchFailed(fetchId: number): void;
}

/** A fetch's id names its shard, since the shards of a thread share the ring for answers. */
const SHARDS = BROKER_LIMITS.shardsMax;

/** The id of a shard's fetch; `number` counts from 0 and wraps. */
export function fetchIdOf(shardId: number, number: number): number {
  return (((number * SHARDS) >>> 0) + shardId) >>> 0;
}

export function shardOfFetch(fetchId: number): number {
  return fetchId % SHARDS;
}
