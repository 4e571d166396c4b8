import type { QueueChange } from "../subscription/queue-change.ts";

/**
 * Changes of subscriptions in a STATE entry. Those of one subscription and partition are written once a cycle. Offsets are the
 * partition's; not-before times are of the wall clock, in ms.
 */
export type SubscriptionChange =
  /** Begins at startOffset, whatever was before. `mode`: index into SUBSCRIPTION_MODES. */
  | readonly [
      "subscribe",
      subscriptionId: number,
      topicId: number,
      partition: number,
      mode: number,
      startOffset: number,
      logEpoch: number,
    ]
  /** In all partitions of this shard. */
  | readonly ["unsubscribe", subscriptionId: number]
  | QueueChange
  /** `rows`: offset in the dead-letter topic and subscriptionId, again and again. */
  | readonly ["redrive", dlqTopicId: number, partition: number, rows: readonly number[]]
  /** Mode stream. */
  | readonly [
      "cursor",
      subscriptionId: number,
      topicId: number,
      partition: number,
      offset: number,
      logEpoch: number,
      assignmentEpoch: number,
    ]
  | readonly [
      "seek",
      subscriptionId: number,
      topicId: number,
      partition: number,
      offset: number,
      logEpoch: number,
    ]
  /** Keeps where it stands now under this name, or forgets the name. */
  | readonly [
      "snapshot",
      subscriptionId: number,
      topicId: number,
      partition: number,
      name: string,
      action: "create" | "delete",
    ]
  /** Goes to where it stood when the snapshot was taken. */
  | readonly ["return", subscriptionId: number, topicId: number, partition: number, name: string];

export type DeadChange = Extract<SubscriptionChange, readonly ["dead", ...unknown[]]>;
