import type { ProgressReason } from "@millrace/protocol";
import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { GatewayLoad } from "./cluster-status.ts";

/** Who consumes a subscription at one gateway, or several. */
export interface SubscriptionConsumers {
  readonly count: number;
  /** Mode stream: names of the clients that have partitions. */
  readonly holders: readonly (readonly [partition: number, clientName: string])[];
}

/**
 * What a gateway is told by its node, always on the gateway's own thread, in the order in which each shard
 * said it. None of these may throw or wait. `bytes` is ring memory: valid until the call returns.
 */
export interface GatewayHandler {
  /** A run of `count` records of one publisher is as durable as `durability` (index into DURABILITIES). */
  onAck(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    logEpoch: number,
    durability: number,
  ): void;
  /** A batch was refused; `errorNumber` is the wire's. retryAfterMs 0 = not stated. */
  onPublishError(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void;
  /** An answer to read() (`shared` false, streamId = the reader's own) or a tail delivery (streamId = sharedStreamId). */
  onDeliver(
    streamId: number,
    shared: boolean,
    firstOffset: number,
    nextOffset: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void;
  /** The read stood at the end: from `offset` on the tail deliveries of `sharedStreamId` are for this stream too. */
  onJoined(streamId: number, sharedStreamId: number, offset: number): void;
  /** There are no records below nextOffset (a gap left by an unclean stop, retention, or damage that a repair erased): read on from there. */
  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void;
  /** The next entry's frame needs more bytes than the read allowed; read again with at least so many. */
  onNeedsCredit(streamId: number, bytes: number): void;
  onReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): void;
  /**
   * There is something to lease for this subscription at this shard: said to every gateway, once after an EMPTY of one of its
   * consumers, whosever it is, or once when the partition is opened; again only after another EMPTY.
   */
  onAvailable(shardId: number, subscriptionId: number): void;
  /**
   * Credit that was lent to the shard comes back unused: all of it. There is nothing to lease now, or it was recalled.
   * `bytes` is negative when a record larger than the rest was sent (see onLeased).
   */
  onEmpty(shardId: number, consumerId: number, messages: number, bytes: number): void;
  /**
   * A LEASED frame for a consumer, complete. It has used `messages` messages and frameLength bytes of the credit lent:
   * never more messages than were lent, and more bytes only where the frame is a single record that is larger than what
   * was lent, and the consumer has nothing else of this shard.
   */
  onLeased(
    shardId: number,
    consumerId: number,
    messages: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void;
  /**
   * A settle is durable, or was refused (`outcome`: 0 or the wire's error number). `messages` of its consumer are no
   * longer unsettled; a late one counts its range, since the shard has forgotten the lease.
   */
  onSettled(shardId: number, consumerId: number, settleId: number, outcome: number, messages: number): void;
  /** A rare event: `[kind, ...arguments]`, see outbound-layout.ts. */
  onNotice(shardId: number, notice: readonly unknown[]): void;
  /** The shard's inbound ring, or that for reads or consumers, has room again after a claim had failed. */
  onSpace(shardId: number): void;
  /** End of one drain: send what was collected (at most one frame of acks a session). */
  onDrainEnd(): void;
  /**
   * The shard's thread died: its unacknowledged publishes are lost to this gateway (fail them as
   * SHARD_RESTARTED), its reads will not be answered. Claims fail until onShardUp.
   */
  onShardDown(shardId: number): void;
  /** The shard serves again, with fresh rings: read again every stream that stands on it. */
  onShardUp(shardId: number): void;
  /** The shard's journal failed: it stays down until an operator repairs it; publishes get JOURNAL_FAILED. */
  onShardFailed(shardId: number, reason: string): void;
  onTopicCreated(topic: Topic): void;
  /** Its settings have changed. */
  onTopicAltered(topic: Topic): void;
  /** Its subscriptions are gone with it; onSubscriptionDeleted is not called for them. */
  onTopicDeleted(topic: Topic): void;
  onSubscriptionDeleted(subscription: Subscription): void;
  /** It was altered, or sought: `sought` says which. */
  onSubscriptionChanged(subscription: Subscription, sought: boolean): void;
  /** Asked by other nodes: who consumes it here? */
  consumersOf(subscriptionId: number): SubscriptionConsumers;
  /** Asked for the node's status. */
  load(): GatewayLoad;
}
