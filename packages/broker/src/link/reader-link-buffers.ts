import { OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";
import { LINK_STATE } from "./link-buffers.ts";

/** The shared memory that joins one shard thread and the reader thread; its shards share it. Plain data: travels in messages. */
export interface ReaderLinkBuffers {
  /** Shard thread -> reader thread: cold reads whose answers go to the gateway. */
  readonly reads: SharedArrayBuffer;
  /** Shard thread -> reader thread: fetches, in a ring of their own, as their answers wait for room somewhere else. */
  readonly fetches: SharedArrayBuffer;
  /** Reader thread -> shard thread: what was fetched, in the records of outbound-layout.ts; stream ids are those of fetches. */
  readonly fetched: SharedArrayBuffer;
  /** Int32 words as LINK_STATE: SHARD_WAITS while it is the reader thread that waits for room in `fetched`. */
  readonly state: SharedArrayBuffer;
}

export function allocateReaderLink(): ReaderLinkBuffers {
  return {
    reads: OneToOneRingBuffer.allocate(BROKER_LIMITS.readerRingBytes),
    fetches: OneToOneRingBuffer.allocate(BROKER_LIMITS.readerRingBytes),
    fetched: OneToOneRingBuffer.allocate(BROKER_LIMITS.fetchedRingBytes),
    state: new SharedArrayBuffer(LINK_STATE.WORDS * 4),
  };
}
