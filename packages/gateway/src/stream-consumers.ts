import {
  type AssignmentNotice,
  homeShardOf,
  type Subscription as NamedSubscription,
  type Topic,
} from "@millrace/broker/internal";
import { type CommitFrame, encodeCommitted, MillraceError, type ReleaseFrame } from "@millrace/protocol";
import { consumerOf } from "./consume-requests.ts";
import type { Consumer } from "./consumer-table.ts";
import type { Session } from "./session.ts";
import { type StreamConsume, StreamConsumer, type StreamConsumerParts } from "./stream-consumer.ts";
import { checkStreamCount } from "./stream-count.ts";

/** The members of stream subscriptions on this gateway: what they are assigned, and how they give it back. */
export class StreamConsumers {
  readonly #parts: StreamConsumerParts;
  /** Shards that are lost or recover. */
  readonly #down: Set<number> = new Set();

  constructor(parts: Omit<StreamConsumerParts, "isDown">) {
    this.#parts = { ...parts, isDown: (shardId) => this.#down.has(shardId) };
  }

  /** @throws MillraceError TOO_MANY_SUBSCRIPTIONS */
  checkRoom(session: Session, topic: Topic): void {
    checkStreamCount(session, topic.partitions, this.#parts.delivery);
  }

  /** Takes the consumer on, right after CONSUMING was sent. */
  start(consume: StreamConsume): void {
    const { consumers, port } = this.#parts;
    const { topic, subscription } = consume;
    const home = homeShardOf(topic.topicId, subscription.name, port.shardCount);
    const consumer = new StreamConsumer(consume, home, this.#parts);
    consumers.add(consumer);
    void consumer.join();
  }

  /** Names of the clients that have partitions of the subscription, by partition. */
  holdersOf(subscriptionId: number): ReadonlyMap<number, string> {
    const holders = new Map<number, string>();
    for (const consumer of this.#parts.consumers.values()) {
      if (!isStreamConsumer(consumer) || consumer.subscriptionId !== subscriptionId) continue;
      for (const partition of consumer.heldPartitions) holders.set(partition, consumer.session.clientName);
    }
    return holders;
  }

  // ---- frames ----

  release(session: Session, frame: ReleaseFrame): void {
    const consumer = session.consumers?.get(frame.consumerId);
    // Otherwise it crossed with the end of the consumer.
    if (!(consumer instanceof StreamConsumer)) return;
    consumer.release(frame.partitions.map(({ partition, assignmentEpoch }) => [partition, assignmentEpoch]));
  }

  async commit(session: Session, frame: CommitFrame): Promise<void> {
    const { requestId, consumerId, positions } = frame;
    const consumer = streamConsumerOf(session, consumerId);
    const outcomes = await consumer.commit(
      positions.map(({ partition, assignmentEpoch, offset, logEpoch }) => [
        partition,
        assignmentEpoch,
        offset,
        logEpoch,
      ]),
    );
    const { writer } = this.#parts;
    writer.reset();
    encodeCommitted(writer, {
      requestId,
      consumerId,
      outcomes: positions.map(({ partition, offset }, i) => ({
        partition,
        offset,
        outcome: outcomes[i] as number,
      })),
    });
    session.sendWritten();
  }

  // ---- node ----

  onAssignment([, subscriptionId, consumerId, assigned, revoked, withinMs]: AssignmentNotice): void {
    const consumer = this.#parts.consumers.get(consumerId);
    if (consumer instanceof StreamConsumer && consumer.subscriptionId === subscriptionId) {
      consumer.onAssignment(assigned, revoked, withinMs);
      return;
    }
    // It has ended, which the home shard did not hear: what it is given nobody else would get.
    const subscription = this.#parts.port.subscriptionById(subscriptionId);
    if (subscription === undefined) return;
    this.#parts.port.groupLeave(subscription, consumerId).catch(() => {});
  }

  onShardDown(shardId: number): void {
    this.#down.add(shardId);
  }

  onShardUp(shardId: number): void {
    this.#down.delete(shardId);
    const consumers = [...this.#parts.consumers.values()].filter(isStreamConsumer);
    const members = consumers.filter(({ homeShard }) => homeShard === shardId);
    // Who holds something comes first: from that the home shard knows that others may be about to say so too.
    members.sort((a, b) => b.heldPartitions.length - a.heldPartitions.length);
    for (const member of members) void member.join();
    for (const consumer of consumers) consumer.onShardUp(shardId);
  }

  onSubscriptionChanged({ subscriptionId, paused }: NamedSubscription, sought: boolean): void {
    for (const consumer of this.#parts.consumers.values()) {
      if (!isStreamConsumer(consumer) || consumer.subscriptionId !== subscriptionId) continue;
      consumer.setPaused(paused);
      if (sought) consumer.onSought();
    }
  }
}

function isStreamConsumer(consumer: Consumer): consumer is StreamConsumer {
  return consumer instanceof StreamConsumer;
}

function streamConsumerOf(session: Session, consumerId: number): StreamConsumer {
  const consumer = consumerOf(session, consumerId);
  if (consumer instanceof StreamConsumer) return consumer;
  throw new MillraceError("SUBSCRIPTION_MODE", "only consumers of stream subscriptions commit", {
    details: { unknownConsumerId: consumerId },
  });
}
