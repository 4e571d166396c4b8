import type { RefusalReason } from "../link/link-buffers.ts";
import type { OutboundReader } from "./outbound-reader.ts";

/**
 * A gateway's way to one shard, whether it runs in this process (GatewayLink) or in another one (RemoteShardWay). Gateway
 * thread only; nothing here waits, and nothing written is on its way before flush(). A way belongs to one opening of the
 * shard: when that ends the way is dropped, and another one takes its place.
 */
export interface ShardWay {
  /** What claimBatch's index counts in; ask again after each claim. */
  readonly bytes: Buffer;
  readonly words: Int32Array;
  /** Why the shard refuses publishes at the moment; undefined while it takes them, or when only its own node knows. */
  readonly refusal: RefusalReason | undefined;
  /** The ring with the shard's answers; undefined where they arrive by themselves. */
  readonly outbound: OutboundReader | undefined;

  /** Byte index of a BATCH entry with room for `storedBytes` of payload, or INSUFFICIENT_CAPACITY. */
  claimBatch(storedBytes: number): number;
  commitBatch(index: number): void;
  /** 0 or INSUFFICIENT_CAPACITY, as the next five; see GatewayPort for all of them. */
  read(
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number;
  untail(topicId: number, partition: number, gateway: number): number;
  lend(consumerId: number, subscriptionId: number, messages: number, bytes: number): number;
  recall(consumerId: number): number;
  detach(consumerId: number): number;
  settle(
    consumerId: number,
    settleId: number,
    action: number,
    partition: number,
    leaseEpoch: number,
    leaseCounter: number,
    firstOffset: number,
    count: number,
    argument: number,
    reason: Uint8Array | undefined,
  ): number;
  /** Hands a request over, now or as soon as there is room: fullness is no reason to refuse it. */
  request(requestId: number, payload: Uint8Array): void;
  /** What was written goes to the shard. */
  flush(): void;
  /** True once after a failed claim, when there is room again; requests that waited for it have it first. */
  takeSpace(): boolean;
}

/** The way to a shard of this process, which also takes what gateways of other processes wrote. */
export interface LocalShardWay extends ShardWay {
  /**
   * Copies a record of inbound-layout.ts as it is into the ring for its type.
   * @param index of the record's header in `bytes`; `length` counts header and payload.
   * @returns 0, INSUFFICIENT_CAPACITY (takeSpace() says when to try again), or RECORD_REFUSED
   */
  forward(type: number, bytes: Buffer, index: number, length: number): number;
}

/** forward(): no record of a gateway has this type or length; nothing was copied. */
export const RECORD_REFUSED = -21;
