import type { SubscriptionOpening } from "../shard/subscription-requests.ts";
import { SUBSCRIPTION_MODES, type Subscription } from "../subscription/subscription.ts";

/** What shards are told of a subscription. */
export function openingOf(subscription: Subscription, topicName: string): SubscriptionOpening {
  const { subscriptionId, topicId, mode, leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs } = subscription;
  const opening = [
    subscriptionId,
    topicId,
    SUBSCRIPTION_MODES.indexOf(mode),
    leaseMs,
    maxDeliveries,
    backoffMinMs,
    backoffMaxMs,
    subscription.paused,
    subscription.name,
    topicName,
    subscription.snapshots,
  ] as const;
  return subscription.isOpening === true ? [...opening, true] : opening;
}
