/** What happened to a queue's records, in a STATE entry of the journal. Times are of the wall clock. */
export type QueueChange =
  /** Records are finished; `ranges`: first offset, count, ... */
  | readonly [
      "acks",
      subscriptionId: number,
      topicId: number,
      partition: number,
      ranges: Uint8Array | readonly number[],
    ]
  /** Records are to be delivered again; `rows`: offset, deliveries so far, not before (ms), ... */
  | readonly ["retries", subscriptionId: number, topicId: number, partition: number, rows: readonly number[]]
  /**
   * A record is finished because the batch entry that follows holds it: at dlqOffset of the topic of dead letters. Without
   * that entry nothing has happened.
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
