import type { Subscription, SubscriptionPort } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";

function unsupported(): Promise<never> {
  return Promise.reject(new MillraceError("UNSUPPORTED_FEATURE", "the double knows no subscriptions"));
}

/** The control plane of subscriptions of a FakeNode. */
export class FakeSubscriptions implements SubscriptionPort {
  readonly subscription = (): Subscription | undefined => undefined;
  readonly subscriptionById = (): Subscription | undefined => undefined;
  readonly subscriptions = (): Iterable<Subscription> => [];
  readonly createSubscription: SubscriptionPort["createSubscription"] = unsupported;
  readonly alterSubscription: SubscriptionPort["alterSubscription"] = unsupported;
  readonly deleteSubscription: SubscriptionPort["deleteSubscription"] = unsupported;
  readonly subscriptionState: SubscriptionPort["subscriptionState"] = unsupported;
  readonly seekSubscription: SubscriptionPort["seekSubscription"] = unsupported;
  readonly seekToSnapshot: SubscriptionPort["seekToSnapshot"] = unsupported;
  readonly snapshotSubscription: SubscriptionPort["snapshotSubscription"] = unsupported;
  readonly peek: SubscriptionPort["peek"] = unsupported;
  readonly deadLetters: SubscriptionPort["deadLetters"] = unsupported;
  readonly redrive: SubscriptionPort["redrive"] = unsupported;
  readonly createDeadLetterTopic: SubscriptionPort["createDeadLetterTopic"] = unsupported;
  readonly acquire: SubscriptionPort["acquire"] = unsupported;
  readonly commitCursors: SubscriptionPort["commitCursors"] = unsupported;
  readonly groupJoin: SubscriptionPort["groupJoin"] = unsupported;
  readonly groupLeave: SubscriptionPort["groupLeave"] = unsupported;
  readonly groupReleased: SubscriptionPort["groupReleased"] = unsupported;
}
