import { BROKER_LIMITS } from "../limits.ts";

/** Bytes on their way that each of a shard's three rings lets a guest have, by the ring's number in inbound-layout.ts. */
export const RING_WINDOWS: readonly [number, number, number] = [
  BROKER_LIMITS.peerBatchWindowBytes,
  BROKER_LIMITS.peerReadsWindowBytes,
  BROKER_LIMITS.peerConsumersWindowBytes,
];
