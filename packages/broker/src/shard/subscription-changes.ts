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
  /** `ranges`: first offset and count, again and again. */
  | readonly ["acks", subscriptionId: number, topicId: number, partition: number, ranges: readonly number[]]
  /** `rows`: offset, deliveries so far and not-before time, again and again. */
  | readonly ["retries", subscriptionId: number, topicId: number, partition: number, rows: readonly number[]]
  /**
   * Took place only if the journal's next entry, of the same epoch, is a batch of the dead-letter topic's same partition that
   * holds dlqOffset; one batch may stand for several of these in one entry.
   */
  | readonly [
      "dead",
      subscriptionId: number,
      topicId: number,
      partition: number,
      offset: number,
      dlqTopicId: number,
      dlqOffset: number,
    ]
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
