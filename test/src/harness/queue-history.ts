import { monotonicMs } from "./clock.ts";

/** What a consumer called for a delivery. */
export type Settling = "ack" | "nack" | "release" | "dead";

/** One message as one consumer was given it, and what became of it there. Orders are of `QueueHistory.next`. */
export interface QueueDelivery {
  readonly order: number;
  readonly ms: number;
  readonly consumer: string;
  readonly topic: string;
  readonly subscription: string;
  readonly partition: number;
  readonly offset: number;
  readonly deliveryCount: number;
  /** The lease's token; undefined where the consumer is not told of it. */
  readonly leaseEpoch: number | undefined;
  readonly leaseCounter: number | undefined;
  /** Of the history, when it came. */
  readonly life: number;
  readonly value: string;
  /** It came from the dead-letter topic. */
  readonly isRedriven: boolean;
  /** The one settling that was called, and when. */
  settling: Settling | undefined;
  settledOrder: number | undefined;
  /** When the answer came, and what it was: 0 = durable. */
  answeredOrder: number | undefined;
  outcome: number | undefined;
  /** When the consumer's session ended with the message in hand. */
  lostOrder: number | undefined;
  /** The lease lasts until then, as far as the consumer knows. */
  leaseEndMs: number;
}

/** What consumers wrote down, in one order for all of them. */
export class QueueHistory {
  readonly deliveries: QueueDelivery[] = [];
  /** What should not have happened, as it was noticed. */
  readonly problems: string[] = [];
  /** Which process of the broker is there; negative: not known, or its shards have lives of their own. */
  life = 0;
  #order = 0;

  /** Rises with each event of any consumer. */
  next(): number {
    this.#order += 1;
    return this.#order;
  }

  delivered(
    what: Omit<
      QueueDelivery,
      | "order"
      | "ms"
      | "life"
      | "settling"
      | "settledOrder"
      | "answeredOrder"
      | "outcome"
      | "lostOrder"
      | "leaseEndMs"
    >,
    leaseMs: number,
  ): QueueDelivery {
    const ms = monotonicMs();
    const delivery: QueueDelivery = {
      ...what,
      order: this.next(),
      ms,
      life: this.life,
      settling: undefined,
      settledOrder: undefined,
      answeredOrder: undefined,
      outcome: undefined,
      lostOrder: undefined,
      leaseEndMs: ms + leaseMs,
    };
    this.deliveries.push(delivery);
    return delivery;
  }

  settles(delivery: QueueDelivery, settling: Settling): void {
    delivery.settling = settling;
    delivery.settledOrder = this.next();
  }

  answered(delivery: QueueDelivery, outcome: number): void {
    delivery.outcome = outcome;
    delivery.answeredOrder = this.next();
  }

  lost(delivery: QueueDelivery): void {
    delivery.lostOrder ??= this.next();
  }
}
