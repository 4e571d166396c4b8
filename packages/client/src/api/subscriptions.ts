import type { ReceivedRecord } from "./record.ts";
import type { PartitionPosition } from "./subscription.ts";
import type { RequestOptions } from "./topics.ts";

/**
 * How the log of a topic is read: `stream` by a cursor in each partition, which members share out; `queue` message by message,
 * by competing consumers; `keyed` the same, one message of a key at a time and in order.
 */
export type SubscriptionMode = "stream" | "queue" | "keyed";

/**
 * Where a subscription starts, or is moved to:
 * - `"earliest"`: the oldest record that is still there; `"latest"`: the next one to be published;
 * - `{ time }`: the first records appended at or after a time (Date, or ms since the epoch);
 * - `{ offset }`: that offset, in every partition;
 * - `{ offsets }`: an own offset for each partition named: positions, or an object or Map partition -> offset;
 * - `{ snapshot }`: where it stood when a snapshot was made; only for `seek`.
 */
export type SubscriptionStart =
  | "earliest"
  | "latest"
  | { readonly time: Date | number }
  | { readonly offset: number }
  | {
      readonly offsets:
        | readonly PartitionPosition[]
        | ReadonlyMap<number, number>
        | Readonly<Record<number, number>>;
    }
  | { readonly snapshot: string };

/** What is chosen when a subscription is created; the broker's defaults apply to what is left out. */
export interface SubscriptionSettings {
  readonly mode: SubscriptionMode;
  /** "latest" by default; "earliest" on topics that keep records until they are acknowledged. */
  readonly from?: SubscriptionStart | undefined;
  /** How long a message stays leased without being renewed: 1,000..43,200,000, 30,000 by default. */
  readonly leaseMs?: number | undefined;
  /** Deliveries after which a message goes to the dead-letter topic; 0..1,000, 5 by default; 0 = never. */
  readonly maxDeliveries?: number | undefined;
  /** The n-th retry waits min(max, min * 2^(n-1)); 0..3,600,000, 1,000 by default. */
  readonly backoffMinMs?: number | undefined;
  /** 60,000 by default. */
  readonly backoffMaxMs?: number | undefined;
}

/** What may be changed in a subscription's life; what is left out stays. */
export type SubscriptionChanges = Omit<SubscriptionSettings, "mode" | "from">;

/** A subscription as the broker knows it. */
export interface SubscriptionInfo {
  readonly topic: string;
  readonly topicId: number;
  readonly name: string;
  /** Never reused. */
  readonly subscriptionId: number;
  readonly mode: SubscriptionMode;
  readonly leaseMs: number;
  readonly maxDeliveries: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** While paused nothing is delivered. */
  readonly paused: boolean;
  /** ms since the epoch. */
  readonly createdMs: number;
  /** Where its dead letters go; null while there has been none. */
  readonly deadLetterTopic: string | null;
  /** Names of the snapshots of its position. */
  readonly snapshots: readonly string[];
}

/** How far a subscription is in one partition. */
export interface SubscriptionPartition {
  readonly partition: number;
  /** `stream`: the cursor, which is the next offset wanted. Else everything below is finished. */
  readonly offset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly available: number;
  readonly leased: number;
  readonly waiting: number;
  /** `stream`: the name of the client that has the partition; null while nobody has. */
  readonly consumer: string | null;
}

/** A subscription with what it is doing. */
export interface SubscriptionDescription extends SubscriptionInfo {
  readonly consumers: number;
  /** Messages that could be delivered now. */
  readonly available: number;
  /** Messages that consumers have. */
  readonly leased: number;
  /** Messages that wait for their retry, or behind another of their key. */
  readonly waiting: number;
  /** Deliveries after the first, since the broker's start. */
  readonly redelivered: number;
  /** Messages that went to the dead-letter topic. */
  readonly dead: number;
  /** Records that are not finished, or that are behind the cursor. */
  readonly lag: number;
  /** Age of the oldest of them; null if there is none. */
  readonly oldestAgeMs: number | null;
  /** `keyed`: the key of a message that is not finished and holds up everything 1 M records further on; else null. */
  readonly blockedByKey: string | Uint8Array | null;
  readonly partitions: readonly SubscriptionPartition[];
}

/** `available`: to be delivered. `leased`: a consumer has it. `waiting`: for its retry, or behind another of its key. */
export type PeekedState = "available" | "leased" | "waiting";

/** A message that is not finished, as `peek` sees it. */
export interface PeekedMessage extends ReceivedRecord {
  readonly state: PeekedState;
  /** Deliveries so far. */
  readonly deliveryCount: number;
  /** Until its retry, or until its lease ends; 0 if nothing is being waited for. */
  readonly dueInMs: number;
}

export interface PeekOptions extends RequestOptions {
  /** Messages at most. Default 100. */
  readonly limit?: number | undefined;
  /** Only this partition; all of them by default, in turn. */
  readonly partition?: number | undefined;
  /** Only those from this offset on. */
  readonly fromOffset?: number | undefined;
}

/**
 * Administration of subscriptions. All but `create` and `delete` are repeated after a lost connection; those reject with
 * CONNECTION_LOST (retriable). Rejects with UNKNOWN_TOPIC or UNKNOWN_SUBSCRIPTION where there is none.
 */
export interface Subscriptions {
  /** Rejects with SUBSCRIPTION_EXISTS, INVALID_SUBSCRIPTION_NAME or INVALID_SUBSCRIPTION_CONFIG. */
  create(
    topic: string,
    name: string,
    settings: SubscriptionSettings,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo>;
  /** All of a topic, or of all topics, by topic and name. */
  list(topic?: string | undefined, options?: RequestOptions): Promise<SubscriptionInfo[]>;
  describe(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionDescription>;
  /** Rejects with INVALID_SUBSCRIPTION_CONFIG. */
  alter(
    topic: string,
    name: string,
    changes: SubscriptionChanges,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo>;
  /**
   * Moves it, forwards or back. `queue` and `keyed`: everything before is finished then, everything from there on is
   * delivered, again if need be. Rejects with INVALID_FROM, OFFSET_OUT_OF_RANGE or UNKNOWN_SNAPSHOT.
   */
  seek(
    topic: string,
    name: string,
    to: SubscriptionStart,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo>;
  /** Delivers nothing until `resume`. What consumers have they may settle. */
  pause(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionInfo>;
  resume(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionInfo>;
  /** With its position; its consumers end with SUBSCRIPTION_DELETED. */
  delete(topic: string, name: string, options?: RequestOptions): Promise<void>;
  /** Keeps its present position under a name, for `seek`; an older one of that name is replaced. */
  snapshot(
    topic: string,
    name: string,
    snapshot: string,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo>;
  /** Rejects with UNKNOWN_SNAPSHOT. */
  deleteSnapshot(
    topic: string,
    name: string,
    snapshot: string,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo>;
  /** Messages that are not finished, oldest first in each partition, without consuming them. */
  peek(topic: string, name: string, options?: PeekOptions): Promise<PeekedMessage[]>;
}
