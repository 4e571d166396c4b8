import type { GatewayPort, Subscription as NamedSubscription, Topic } from "@millrace/broker/internal";
import {
  type ConsumeFrame,
  type ConsumerCreditFrame,
  encodeConsuming,
  encodeConsumingStopped,
  type FrameWriter,
  MillraceError,
  type StopConsumingFrame,
} from "@millrace/protocol";
import type { Consumer, ConsumerTable } from "./consumer-table.ts";
import type { QueueConsumers } from "./queue-consumers.ts";
import type { Session } from "./session.ts";
import type { StreamConsumers } from "./stream-consumers.ts";
import { requireMode, type SubscriptionLookup } from "./subscription-lookup.ts";
import type { TopicRequests } from "./topic-requests.ts";

export interface ConsumeTargets {
  readonly port: GatewayPort;
  readonly writer: FrameWriter;
  readonly topics: TopicRequests;
  readonly subscriptions: SubscriptionLookup;
  readonly consumers: ConsumerTable;
  readonly streamConsumers: StreamConsumers;
  readonly queueConsumers: QueueConsumers;
}

/** CONSUME, CONSUMER_CREDIT and STOP_CONSUMING: what consumers of all modes have in common. */
export class ConsumeRequests {
  readonly #targets: ConsumeTargets;

  constructor(targets: ConsumeTargets) {
    this.#targets = targets;
  }

  async consume(session: Session, frame: ConsumeFrame): Promise<void> {
    const { consumers, port, queueConsumers, streamConsumers, topics } = this.#targets;
    checkExtensions(frame);
    consumers.checkRoom(session);
    const topic = await topics.topic(frame.topic);
    const { subscriptionId } = await this.#subscription(topic, frame);
    if (session.isClosed) return;
    // As it is now: a pause or a deletion may have crossed with its creation.
    const subscription = port.subscriptionById(subscriptionId);
    if (subscription === undefined || port.topicById(topic.topicId) === undefined) {
      throw new MillraceError("SUBSCRIPTION_DELETED", `subscription ${frame.subscription} was deleted`);
    }
    requireMode(subscription, frame.mode);
    consumers.checkRoom(session);
    const isStream = subscription.mode === "stream";
    if (isStream) streamConsumers.checkRoom(session, topic);
    else queueConsumers.checkSlots(frame.slots);
    const consumerId = consumers.newId();
    this.#confirm(session, frame.requestId, consumerId, topic, subscription);
    const { slots, creditLimit } = frame;
    if (isStream) streamConsumers.start({ consumerId, session, topic, subscription, creditLimit });
    else queueConsumers.start({ consumerId, session, topic, subscriptionId, slots, creditLimit });
  }

  credit(session: Session, { consumerId, slots, creditLimit }: ConsumerCreditFrame): void {
    const consumer = session.consumers?.get(consumerId);
    // Unknown: it crossed with the end of the consumer.
    if (consumer === undefined) return;
    try {
      consumer.grant(slots, creditLimit);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#targets.consumers.fail(consumer, error);
    }
  }

  async stop(session: Session, { requestId, consumerId }: StopConsumingFrame): Promise<void> {
    const { consumers, writer } = this.#targets;
    const consumer = consumerOf(session, consumerId);
    await consumer.stop();
    consumers.end(consumer);
    writer.reset();
    encodeConsumingStopped(writer, { requestId, consumerId });
    session.sendWritten();
  }

  async #subscription(topic: Topic, frame: ConsumeFrame): Promise<NamedSubscription> {
    const { subscriptions } = this.#targets;
    const { subscription: name, create } = frame;
    if (create === undefined) return subscriptions.existing(topic, name);
    return subscriptions.existingOrNew(topic, name, create);
  }

  #confirm(
    session: Session,
    requestId: number,
    consumerId: number,
    topic: Topic,
    subscription: NamedSubscription,
  ): void {
    const { subscriptions, writer } = this.#targets;
    writer.reset();
    encodeConsuming(writer, {
      requestId,
      consumerId,
      topicId: topic.topicId,
      subscription: subscriptions.info(topic, subscription),
    });
    session.sendWritten();
  }
}

/** @throws MillraceError UNKNOWN_CONSUMER */
export function consumerOf(session: Session, consumerId: number): Consumer {
  const consumer = session.consumers?.get(consumerId);
  if (consumer !== undefined) return consumer;
  throw new MillraceError("UNKNOWN_CONSUMER", `there is no consumer ${consumerId}`, {
    // Not { consumerId }: that would say that it is over now.
    details: { unknownConsumerId: consumerId },
  });
}

function checkExtensions(frame: ConsumeFrame): void {
  const [extension] = Object.keys(frame.extensions);
  if (extension === undefined) return;
  throw new MillraceError("UNSUPPORTED_FEATURE", `there is no extension ${JSON.stringify(extension)}`, {
    details: { extension },
  });
}
