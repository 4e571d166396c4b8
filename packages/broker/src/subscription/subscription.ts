/** How a named subscription reads its topic. The wire names. */
export type SubscriptionMode = "stream" | "queue" | "keyed";

/** Index = the number used in the journal and in requests; append-only. */
export const SUBSCRIPTION_MODES: readonly SubscriptionMode[] = ["stream", "queue", "keyed"];
export const MODE_STREAM = 0;
export const MODE_QUEUE = 1;
export const MODE_KEYED = 2;

/** What a user may set when a subscription is made. The modes queue and keyed alone use all but `mode` and `paused`. */
export interface SubscriptionConfig {
  readonly mode: SubscriptionMode;
  /** Time that a consumer has for a record until it asks for more or the record goes to another one. */
  readonly leaseMs: number;
  /** Deliveries after which an unfinished record is dead-lettered; 0 = no limit. */
  readonly maxDeliveries: number;
  /** The n-th retry waits min(backoffMaxMs, backoffMinMs * 2^(n-1)). */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Nothing is delivered for the time being. */
  readonly paused: boolean;
}

/** What may change in a subscription's life; what is left out stays. */
export type SubscriptionChanges = Partial<Omit<SubscriptionConfig, "mode">>;

/** A subscription as the catalog knows it: durable, and named within its topic. */
export interface Subscription extends SubscriptionConfig {
  readonly name: string;
  readonly topicId: number;
  /** Never reused, 1 or more. */
  readonly subscriptionId: number;
  readonly createdMs: number;
  /** Offset of the subscription's record in `$catalog`. */
  readonly catalogPosition: number;
  /** Names of the snapshots that were taken of its position, oldest first. */
  readonly snapshots: readonly string[];
  /** It is being made: not all shards know where it starts, and nobody was told of it. A node that finds it at its start drops it. */
  readonly isOpening?: boolean | undefined;
}

/** Where partitions are to be read from. A partition that is left out begins at the end of its log. */
export type SubscriptionStarts = readonly (readonly [partition: number, offset: number])[];

/** One partition of a subscription, as describe shows it. */
export interface SubscriptionPartitionState {
  readonly partition: number;
  /** Mode stream: the cursor; else the oldest unfinished record. */
  readonly position: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** Mode stream: all behind the cursor. */
  readonly available: number;
  readonly leased: number;
  readonly waiting: number;
  /** Records that were delivered again, in all. */
  readonly redelivered: number;
  /** Records that were dead-lettered and have not been redriven. */
  readonly dead: number;
  /**
   * Age of the oldest unfinished record; null when there is none. Where the record is not in memory this is the time point
   * of the journal's index before it: some entries too old.
   */
  readonly oldestAgeMs: number | null;
  /** The oldest unfinished record whose key keeps others from being delivered; null when none does. */
  readonly blockedOffset: number | null;
}

/** What a member finds when it is given a partition; `refused`: somebody was given it later. */
export interface AcquiredPartition {
  readonly partition: number;
  readonly refused: boolean;
  readonly offset: number;
  /** The partition's logEpoch when the cursor was set. */
  readonly cursorLogEpoch: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEpoch: number;
}

/** `offset`: the next one wanted. */
export type CursorCommit = readonly [
  partition: number,
  assignmentEpoch: number,
  offset: number,
  logEpoch: number,
];

/** `outcome`: 0, or the wire's error number. */
export type CursorOutcome = readonly [partition: number, offset: number, outcome: number];

/** `state`: see PEEK_STATE. `dueInMs` is 0 for what does not wait for a time. */
export type PeekedRecord = readonly [
  topicId: number,
  partition: number,
  offset: number,
  state: number,
  deliveryCount: number,
  dueInMs: number,
];

/** The wire's numbers. */
export const PEEK_STATE = { AVAILABLE: 0, LEASED: 1, WAITING: 2 } as const;

/** A dead letter that is to be delivered to this subscription again. */
export type RedriveRow = readonly [partition: number, offset: number, subscriptionId: number];
