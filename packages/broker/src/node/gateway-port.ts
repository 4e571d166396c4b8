import type { PartitionBounds, Topic, TopicChanges, TopicConfig } from "../topic.ts";
import type { ClusterStatus } from "./cluster-status.ts";
import type { SubscriptionConsumers } from "./gateway-handler.ts";
import type { SubscriptionPort } from "./subscription-port.ts";

/**
 * What a gateway may ask of its node, on the gateway's thread. The data path (claimBatch, commitBatch, read,
 * untail, lend, recall, detach, settle) never allocates, waits or throws; the control path answers with promises that reject with
 * MillraceError.
 */
export interface GatewayPort extends SubscriptionPort {
  /** The number that the gateway's ids carry, see gateway-ids.ts: 0 where there is one process. */
  readonly gateway: number;
  /** Where its ids begin, see GatewayIdsOptions.start. */
  readonly idStart: number;
  readonly shardCount: number;
  /** Of the data: made with the folder, and the same at every node. */
  readonly clusterId: string;
  readonly ready: boolean;
  /** What keeps it from serving everything, whether it is ready or not, for people; nothing usually. */
  readonly conditions: readonly string[];
  /** How all nodes and shards are, as far as this node can find out. Rejects with SHARD_RESTARTED and the like while it starts. */
  clusterStatus(): Promise<ClusterStatus>;
  /** Who consumes the subscription at the gateways of other nodes; undefined: there are none. Never rejects. */
  consumersElsewhere(subscriptionId: number): Promise<SubscriptionConsumers> | undefined;

  /** By name or id; undefined when unknown. Synchronous: the node keeps a copy of the catalog. */
  topicByName(name: string): Topic | undefined;
  topicById(topicId: number): Topic | undefined;
  topics(): Iterable<Topic>;
  /**
   * Brings the copy of the catalog up to what anybody had been told of when this was called, to be called before a client is
   * told that there is no such thing. undefined: there is nothing to wait for, the copy is always up to date.
   * Rejects with SHARD_RESTARTED when nobody who knows can be reached in time.
   */
  catchUp(wanted: CatalogWanted): Promise<void> | undefined;
  /** Where the node that owns the shard takes clients itself; undefined while nobody owns it, and where there is one node. */
  ownerUrl(shardId: number): string | undefined;
  createTopic(name: string, config: TopicConfig): Promise<Topic>;
  /** What is left out stays. The topic keeps its id and its partitions. */
  alterTopic(name: string, changes: TopicChanges): Promise<Topic>;
  deleteTopic(name: string): Promise<Topic>;
  bounds(topic: Topic, partitions: readonly number[]): Promise<PartitionBounds[]>;
  /**
   * Gives up the records below an offset of each partition, [[partition, offset], ...]; resolves to their bounds when
   * that is durable. An offset at or below logStartOffset changes nothing. Rejects with OFFSET_OUT_OF_RANGE, without
   * any change, for one beyond the high watermark; with SHARD_RESTARTED when some partitions may have changed.
   */
  truncateTopic(topic: Topic, starts: readonly (readonly [number, number])[]): Promise<PartitionBounds[]>;
  /**
   * The first offset whose append time is at or after timeMs, but not below logStartOffset; the high watermark when
   * there is none.
   */
  offsetForTime(topic: Topic, partition: number, timeMs: number): Promise<number>;

  /**
   * Claims room for one BATCH record in the shard's inbound ring.
   * @param storedBytes bytes of the stored payload (batch + checksum).
   * @returns byte index of the ENTRY's first byte in batchBytes(shardId), or INSUFFICIENT_CAPACITY (ring
   *   full: park the frame until onSpace), or SHARD_DOWN. The payload starts ENTRY_HEADER_BYTES behind it.
   */
  claimBatch(shardId: number, storedBytes: number): number;
  /** Data region of the shard's inbound ring (changes after onShardUp). */
  batchBytes(shardId: number): Buffer;
  batchWords(shardId: number): Int32Array;
  /** Hands the claimed batch over. The shard sees it after the current turn of the event loop. */
  commitBatch(shardId: number, index: number): void;

  /**
   * Asks for records of one partition from `offset`, in one DELIVER frame of at most maxBytes bytes. Exactly
   * one answer follows: onDeliver, onJoined, onProgress, onNeedsCredit or onReadError (or onShardDown).
   * `streamId` is written into the frame; after onJoined tail deliveries carry `sharedStreamId`, which must
   * be the same for all reads of a partition by this gateway. Ids here and below, of streams, consumers and sessions, are
   * GatewayIds of this gateway.
   * @returns 0, or INSUFFICIENT_CAPACITY / SHARD_DOWN: ask again after onSpace / onShardUp.
   */
  read(
    shardId: number,
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number;
  /** The gateway's tail group of that partition is empty: stop delivering to it. 0 or as read(). */
  untail(shardId: number, topicId: number, partition: number): number;

  /**
   * Lends credit for so many more messages and bytes (neither negative) to a shard for a consumer of a `queue` or `keyed`
   * subscription: onLeased uses it up, onEmpty gives the rest back. Credit that is too small for the next record stays
   * lent until there is more of it, or the consumer has settled all it has of that shard. A shard that goes down has
   * forgotten it.
   * @returns 0, or INSUFFICIENT_CAPACITY / SHARD_DOWN: lend again after onSpace / onShardUp.
   */
  lend(shardId: number, consumerId: number, subscriptionId: number, messages: number, bytes: number): number;
  /** Asks for the unused credit of a consumer: exactly one onEmpty follows for it. 0 or as lend(). */
  recall(shardId: number, consumerId: number): number;
  /** The consumer is over: its credit at the shard is void and what it holds goes to others. 0 or as lend(). */
  detach(shardId: number, consumerId: number): number;
  /**
   * Settles `count` records of a lease from `firstOffset` on; onSettled answers.
   * @param action as in the SETTLE frame
   * @param argument ms of a delay or an extension; -1 = not stated
   * @param reason UTF-8, at most 256 bytes, of a dead letter
   * @returns 0 or as lend().
   */
  settle(
    shardId: number,
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
}

/** What was not found in the catalog: it may be about to be made. */
export type CatalogWanted =
  | { readonly topic: string }
  | { readonly topicId: number }
  /** Of a topic. */
  | { readonly topicId: number; readonly subscription: string };

/** claimBatch/read/untail/lend/…: the shard's thread is being restarted; onShardUp follows. */
export const SHARD_DOWN = -20;
