import type { Partition } from "../shard/partition.ts";
import type { QueueState } from "./queue-state.ts";

/** What a shard knows of a subscription of mode queue or keyed. Names go into the headers of its dead letters. */
export interface QueueSettings {
  readonly subscriptionId: number;
  readonly name: string;
  readonly topicId: number;
  readonly topicName: string;
  readonly keyed: boolean;
  readonly leaseMs: number;
  /** 0 = no limit. */
  readonly maxDeliveries: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly paused: boolean;
}

/**
 * Such a subscription's part in one partition: of its topic, or of the topic's dead letters (then the state is a selected
 * one). The table of subscriptions owns it; the dispatcher works on it and keeps the two counters.
 */
export interface SubscriptionQueue {
  readonly subscriptionId: number;
  readonly partition: Partition;
  readonly state: QueueState;
  /** Records that were given again, since the shard started. */
  redelivered: number;
  /** Records that went to the dead-letter topic, since the shard started. */
  dead: number;
}
