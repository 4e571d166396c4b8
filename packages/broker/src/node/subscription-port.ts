import type { Assignment } from "../subscription/group-coordinator.ts";
import type {
  AcquiredPartition,
  CursorCommit,
  CursorOutcome,
  PeekedRecord,
  RedriveRow,
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionPartitionState,
  SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";

/**
 * The control plane of subscriptions, as a part of GatewayPort. Promises reject with MillraceError; all that changes
 * something resolves when that is durable.
 */
export interface SubscriptionPort {
  /** Synchronous: the node keeps a copy of the catalog. */
  subscription(topicId: number, name: string): Subscription | undefined;
  subscriptionById(subscriptionId: number): Subscription | undefined;
  /** Those of one topic, or all; oldest first within a topic. */
  subscriptions(topicId?: number): Iterable<Subscription>;

  /**
   * Partitions that `starts` leaves out begin at the end of their log. Rejects with SUBSCRIPTION_EXISTS, UNKNOWN_TOPIC,
   * TOO_MANY_SUBSCRIPTIONS; with SHARD_RESTARTED when it was not made.
   */
  createSubscription(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription>;
  alterSubscription(subscription: Subscription, changes: SubscriptionChanges): Promise<Subscription>;
  deleteSubscription(subscription: Subscription): Promise<Subscription>;

  /** A row for each partition of the topic, in their order. */
  subscriptionState(subscription: Subscription): Promise<SubscriptionPartitionState[]>;
  /** Partitions that `starts` leaves out stay. What is leased is given up; offsets are clamped to the log's bounds. */
  seekSubscription(subscription: Subscription, starts: SubscriptionStarts): Promise<void>;
  /** Goes back, or on, to where it was when the snapshot was taken. Rejects with UNKNOWN_SNAPSHOT. */
  seekToSnapshot(subscription: Subscription, snapshot: string): Promise<void>;
  /** Replaces a snapshot of that name. Deleting one that is not there rejects with UNKNOWN_SNAPSHOT. */
  snapshotSubscription(
    subscription: Subscription,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription>;
  /** Unfinished records, ascending; modes queue and keyed alone. Dead letters that were redriven stand behind the others. */
  peek(
    subscription: Subscription,
    partition: number,
    fromOffset: number,
    limit: number,
  ): Promise<PeekedRecord[]>;
  /** Offsets of the dead letters in a partition of a dead-letter topic that were not redriven, ascending. */
  deadLetters(topic: Topic, partition: number, fromOffset: number, limit: number): Promise<number[]>;
  /** `topic`: the dead-letter topic. @returns how many will be delivered again; those that were redriven before are not. */
  redrive(topic: Topic, rows: readonly RedriveRow[]): Promise<number>;
  /** Makes the dead-letter topic of a topic, or finds it: the answer to the notice "dead-letter-topic". */
  createDeadLetterTopic(topicId: number): Promise<Topic>;

  /** Mode stream: gives partitions to the holder of these assignment epochs, and fences off earlier ones. In the order asked. */
  acquire(
    subscription: Subscription,
    rows: readonly (readonly [partition: number, assignmentEpoch: number])[],
  ): Promise<AcquiredPartition[]>;
  /**
   * Mode stream. In the order asked: outcome ASSIGNMENT_LOST where a later epoch has acquired the partition, or it was sought,
   * since; SHARD_RESTARTED where nobody knows.
   */
  commitCursors(subscription: Subscription, rows: readonly CursorCommit[]): Promise<CursorOutcome[]>;

  /**
   * Mode stream: the consumer takes part; the notice "assignment" of its home shard (homeShardOf) says what it gets. When that
   * shard was lost, who takes part joins `again` after onShardUp, with what it still `held`. As the next two, rejects with
   * SHARD_RESTARTED while it is lost.
   */
  groupJoin(
    subscription: Subscription,
    consumerId: number,
    held: readonly Assignment[],
    again: boolean,
  ): Promise<void>;
  /** What the consumer holds is free at once. */
  groupLeave(subscription: Subscription, consumerId: number): Promise<void>;
  /** The consumer is done with these. */
  groupReleased(
    subscription: Subscription,
    consumerId: number,
    assignments: readonly Assignment[],
  ): Promise<void>;
}
