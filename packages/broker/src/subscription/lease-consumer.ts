import type { DispatchedSubscription } from "./dispatched-subscription.ts";

/** A consumer as a shard knows it: the credit that its gateway has lent. */
export class LeaseConsumer {
  readonly consumerId: number;
  /** Undefined once the subscription is gone. */
  subscription: DispatchedSubscription | undefined;
  messages = 0;
  bytes = 0;
  /** Among its subscription's lenders. */
  lends = false;

  constructor(consumerId: number, subscription: DispatchedSubscription) {
    this.consumerId = consumerId;
    this.subscription = subscription;
  }

  get hasCredit(): boolean {
    return this.messages > 0 && this.bytes > 0;
  }
}
