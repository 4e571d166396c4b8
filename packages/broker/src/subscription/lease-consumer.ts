import type { DispatchedSubscription } from "./dispatched-subscription.ts";

/** A consumer as a shard knows it: the credit that its gateway has lent. */
export class LeaseConsumer {
  readonly consumerId: number;
  /** Its number in the lease table. */
  readonly index: number;
  /** Undefined once the subscription is gone. */
  subscription: DispatchedSubscription | undefined;
  messages = 0;
  bytes = 0;
  /** Among its subscription's lenders. */
  lends = false;

  constructor(consumerId: number, index: number, subscription: DispatchedSubscription) {
    this.consumerId = consumerId;
    this.index = index;
    this.subscription = subscription;
  }

  /** Of records larger than the rest of the bytes one is given all the same, so one byte will do. */
  get hasCredit(): boolean {
    return this.messages > 0 && this.bytes > 0;
  }
}
