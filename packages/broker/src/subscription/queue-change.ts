/** What happened to a queue's records, in a STATE entry of the journal. Times are of the wall clock. */
export type QueueChange =
  /** Records are finished; `ranges`: first offset, count, ... */
  | readonly ["acks", subscriptionId: number, topicId: number, partition: number, ranges: readonly number[]]
  /** Records are to be delivered again; `rows`: offset, deliveries so far, not before (ms), ... */
  | readonly ["retries", subscriptionId: number, topicId: number, partition: number, rows: readonly number[]]
  /**
   * A record is finished because it went to the dead letters. Counts only if the journal's next entry, of the same epoch, is a
   * batch of the dead-letter topic's same partition that holds dlqOffset; one batch may stand for several such changes.
   */
  | readonly [
      "dead",
      subscriptionId: number,
      topicId: number,
      partition: number,
      offset: number,
      dlqTopicId: number,
      dlqOffset: number,
    ];
