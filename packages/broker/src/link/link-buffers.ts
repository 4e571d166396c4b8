import { OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";

/** The shared memory that joins one gateway and one shard. Plain data: travels in workerData. */
export interface LinkBuffers {
  /** Gateway -> shard: batches and requests. */
  readonly inbound: SharedArrayBuffer;
  /** Gateway -> shard: reads, in a ring of their own, or each would wait behind megabytes of batches. */
  readonly reads: SharedArrayBuffer;
  /** Gateway -> shard: credit lent and leases settled, in a ring of their own for the same reason. */
  readonly consumers: SharedArrayBuffer;
  /** Shard -> gateway. */
  readonly outbound: SharedArrayBuffer;
  /** Int32 words, see LINK_STATE. */
  readonly state: SharedArrayBuffer;
}

/** Word indexes of the link's state; each of the two flags is set by the side that waits and cleared by the other. */
export const LINK_STATE = {
  /** The gateway failed to claim: ring its doorbell when the shard has released some of the inbound ring. */
  GATEWAY_WAITS: 0,
  /** The shard failed to claim: ring its doorbell when the gateway has released some of the outbound ring. */
  SHARD_WAITS: 32,
  /** Written by the shard: why it refuses publishes, an index of REFUSALS. */
  REFUSAL: 48,
  WORDS: 64,
} as const;

/** Why a shard refuses publishes; undefined while it takes them. */
export const REFUSALS = [undefined, "disk-full", "disk-low", "settling-behind"] as const;

export type RefusalReason = NonNullable<(typeof REFUSALS)[number]>;

export function allocateLink(): LinkBuffers {
  return {
    inbound: OneToOneRingBuffer.allocate(BROKER_LIMITS.inboundRingBytes),
    reads: OneToOneRingBuffer.allocate(BROKER_LIMITS.readsRingBytes),
    consumers: OneToOneRingBuffer.allocate(BROKER_LIMITS.consumersRingBytes),
    outbound: OneToOneRingBuffer.allocate(BROKER_LIMITS.outboundRingBytes),
    state: new SharedArrayBuffer(LINK_STATE.WORDS * 4),
  };
}
