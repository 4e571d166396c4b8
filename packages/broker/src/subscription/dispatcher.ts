import type { QueueSettings, SubscriptionQueue } from "./subscription-queue.ts";

/**
 * Gives the records of queue and keyed subscriptions to consumers and takes what they settle. Shard thread only.
 */
export class Dispatcher {
  /**
   * From now on this subscription's consumers get what these queues have. Called for each of its queues once: when it
   * is made, when the shard has recovered, and later for queues over dead letters.
   */
  open(_settings: QueueSettings, _queues: readonly SubscriptionQueue[]): void {}

  /** Its settings have changed; a paused one gives nothing until it is configured again. */
  configure(_settings: QueueSettings): void {}

  /** It was deleted: its leases end, and settling them is too late. Nothing for one that was never opened. */
  close(_subscriptionId: number): void {}

  /** A partition is gone with its topic: as close(), for its queues alone. */
  closePartition(_topicId: number, _partition: number): void {}

  /** Leases of this queue end without any trace: to be called in the same step before its state is moved by seek(). */
  endLeases(_queue: SubscriptionQueue): void {}

  /** Somebody else changed the state of this queue (seek, redrive): there may be something to give. */
  wake(_queue: SubscriptionQueue): void {}

  /**
   * Moves an unfinished record to the dead-letter topic, as soon as that is possible: `reason` is told to whoever looks
   * at it. Nothing for a record that is finished, or on its way there already.
   */
  deadLetter(_queue: SubscriptionQueue, _offset: number, _reason: string): void {}
}
