import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import type { QueueModel } from "./queue-model.ts";
import type { Lease } from "./recording-gateway.ts";

/** A subscription with what it promises, and who believes that it has something. */
export interface SimulatedSubscription {
  readonly opening: SubscriptionOpening;
  readonly models: readonly QueueModel[];
  /** Of what was redriven, by partition. */
  readonly redriven: readonly QueueModel[];
  paused: boolean;
  /** Gateways that believe that there is something: nothing has come back to them since they were told so. */
  readonly backlogAt: Set<number>;
}

/** As its settings are while it is paused, or not. */
export function pausedOf(opening: SubscriptionOpening, paused: boolean): SubscriptionOpening {
  const [id, topicId, mode, leaseMs, maxDeliveries, min, max, , ...rest] = opening;
  return [id, topicId, mode, leaseMs, maxDeliveries, min, max, paused, ...rest];
}

/** What it promises of the lease's partition. */
export function modelOf({ opening, models, redriven }: SimulatedSubscription, lease: Lease): QueueModel {
  return (lease.topicId === opening[1] ? models : redriven)[lease.partition] as QueueModel;
}
