import type { ReceivedRecord } from "./record.ts";

/**
 * One record as a consumer has it in hand. In `queue` and `keyed` mode it is leased: nobody else gets it until it is settled
 * by one of `ack`, `nack`, `release` and `deadLetter`, or the lease ends. The client renews the lease by itself until then.
 *
 * A promise of settling resolves once the broker has made it durable. It may be ignored: a failure means that the message
 * comes again, to somebody. It rejects with LEASE_EXPIRED when the message was no longer this consumer's, with
 * CONNECTION_LOST when the connection was lost first (it may be done or not; the message comes again if not), or with
 * CLOSED. Settled twice in the same way, the first promise is returned; in another way, it rejects with LEASE_EXPIRED.
 *
 * In `stream` and `live` mode `ack` says that this message and all before it in its partition are done with, and resolves
 * at once: the cursor is committed later, see `Consumer.commit`. `extend` does nothing there; `nack`, `release` and
 * `deadLetter` reject with SUBSCRIPTION_MODE, since there is nobody else whom such a message could go to.
 */
export interface Message extends ReceivedRecord {
  /** Which delivery of the record this is, as far as is known; 1 is the first. */
  readonly deliveryCount: number;
  /**
   * Aborted once it is known that the message is no longer this consumer's: the lease has ended, the connection is lost, the
   * partition is revoked, or the consumer was closed before the message was settled. Whoever works on it should stop.
   */
  readonly signal: AbortSignal;
  /** Done: it is never delivered to this subscription again. */
  ack(): Promise<void>;
  /** Not done: it is delivered again, after the subscription's back-off, or after `delayMs`, 0..43,200,000. Counts as a delivery. */
  nack(options?: NackOptions): Promise<void>;
  /** Not begun: it goes back at once, for anybody, and does not count as a delivery. */
  release(): Promise<void>;
  /** Not to be tried again: it goes to the dead-letter topic with this reason, of at most 256 bytes. */
  deadLetter(reason: string): Promise<void>;
  /** The lease ends so many ms from now instead, by default the subscription's `leaseMs`. Renewal goes on from there. Rejects with LEASE_EXPIRED. */
  extend(ms?: number): Promise<void>;
}

export interface NackOptions {
  readonly delayMs?: number | undefined;
}
