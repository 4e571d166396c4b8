import { GatewayIds, type GatewayPort } from "@millrace/broker/internal";
import { LIMITS, MillraceError } from "@millrace/protocol";
import type { Session } from "./session.ts";

/** Local parts of their ids begin far from the subscription ids that a client counts up from 1: STREAM frames name either. */
const CONSUMER_LOCAL_MIN = 0x80_0000;

/** One client's taking part in a subscription, of whatever mode, for as long as its session and its wish last. */
export interface Consumer {
  readonly consumerId: number;
  readonly session: Session;
  readonly topicId: number;
  readonly subscriptionId: number;
  /** CONSUMER_CREDIT: new values of both. @throws MillraceError, which goes to the client and ends the consumer. */
  grant(slots: number, creditLimit: number): void;
  /** STOP_CONSUMING: nothing more is delivered from now on; resolves when the client has had all answers it was owed. */
  stop(): Promise<void>;
  /** It is over at once, whatever the reason. Called once; nothing is sent for it any more. */
  end(): void;
}

/** The consumers of all sessions, by the id that frames and rings know them by, and what all modes have in common. */
export class ConsumerTable {
  readonly #consumers: Map<number, Consumer> = new Map();
  /** How many each subscription has. */
  readonly #counts: Map<number, number> = new Map();
  readonly #ids: GatewayIds;
  readonly #isLive = (consumerId: number): boolean => this.#consumers.has(consumerId);

  /** @param port says which ids are its gateway's */
  constructor({ gateway, idStart }: Pick<GatewayPort, "gateway" | "idStart">) {
    this.#ids = new GatewayIds(gateway, { first: CONSUMER_LOCAL_MIN, start: idStart });
  }

  get size(): number {
    return this.#consumers.size;
  }

  /** Consumers of a subscription in this gateway. */
  countOf(subscriptionId: number): number {
    return this.#counts.get(subscriptionId) ?? 0;
  }

  /** Not used by any consumer, and by none for long: rings may still name those that have ended. */
  newId(): number {
    return this.#ids.next(this.#isLive);
  }

  /** @throws MillraceError TOO_MANY_SUBSCRIPTIONS: the session has as many consumers as it may. */
  checkRoom(session: Session): void {
    if ((session.consumers?.size ?? 0) < LIMITS.consumersPerSessionMax) return;
    throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", "the session has too many consumers");
  }

  add(consumer: Consumer): void {
    const { consumerId, session, subscriptionId } = consumer;
    this.#consumers.set(consumerId, consumer);
    session.consumers ??= new Map();
    session.consumers.set(consumerId, consumer);
    this.#counts.set(subscriptionId, this.countOf(subscriptionId) + 1);
  }

  get(consumerId: number): Consumer | undefined {
    return this.#consumers.get(consumerId);
  }

  values(): MapIterator<Consumer> {
    return this.#consumers.values();
  }

  /** Ends the consumer, if it has not ended; its client is told nothing. */
  end(consumer: Consumer): void {
    const { consumerId, session, subscriptionId } = consumer;
    if (!this.#consumers.delete(consumerId)) return;
    session.consumers?.delete(consumerId);
    const left = this.countOf(subscriptionId) - 1;
    if (left > 0) this.#counts.set(subscriptionId, left);
    else this.#counts.delete(subscriptionId);
    consumer.end();
  }

  /** Ends the consumer with an error that its client gets. */
  fail(consumer: Consumer, error: MillraceError): void {
    if (!this.#consumers.has(consumer.consumerId)) return;
    const { consumerId, session } = consumer;
    this.end(consumer);
    session.sendError(
      new MillraceError(error.code, error.message, { details: { ...error.details, consumerId } }),
    );
  }

  /** Ends all consumers that `concerns` picks, each with `error`. */
  failAll(concerns: (consumer: Consumer) => boolean, error: MillraceError): void {
    for (const consumer of [...this.#consumers.values()]) {
      if (concerns(consumer)) this.fail(consumer, error);
    }
  }

  onSessionClosed(session: Session): void {
    for (const consumer of [...(session.consumers?.values() ?? [])]) this.end(consumer);
    session.consumers = undefined;
  }
}
