import type { GatewayPort, Topic } from "@millrace/broker/internal";
import { type FrameReader, type FrameWriter, LIMITS, MillraceError } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import type { ConsumerTable } from "./consumer-table.ts";
import type { OutputMeter } from "./output-meter.ts";
import { QueueConsumer } from "./queue-consumer.ts";
import { QueueLending } from "./queue-lending.ts";
import type { Session } from "./session.ts";
import { SettlePath } from "./settle-path.ts";

/** What a CONSUME of mode queue or keyed comes to, once its subscription is there. */
export interface QueueConsume {
  readonly consumerId: number;
  readonly session: Session;
  readonly topic: Topic;
  readonly subscriptionId: number;
  readonly slots: number;
  readonly creditLimit: number;
}

export interface QueueConsumerParts {
  readonly port: GatewayPort;
  readonly clock: Clock;
  readonly writer: FrameWriter;
  readonly output: OutputMeter;
  readonly consumers: ConsumerTable;
  /** Room of the session's socket was given back that its streams may be waiting for. */
  readonly wakeStreams: (session: Session) => void;
}

/**
 * Consumers of the modes queue and keyed: what shards lease to them is sent straight from ring memory, and what they settle
 * goes back to the shard that leased it.
 */
export class QueueConsumers {
  readonly #parts: QueueConsumerParts;
  readonly #settles: SettlePath;
  readonly #lendings: Map<number, QueueLending> = new Map();
  /** Consumers that wait for room of their session's socket. */
  readonly #blocked: Set<QueueConsumer> = new Set();
  /** Those that wait for room in a shard's ring. */
  readonly #full: Set<QueueLending> = new Set();
  readonly #failedShards: Set<number> = new Set();
  #planned: QueueLending[] = [];
  #turnPlanned = false;
  #draining = false;

  constructor(parts: QueueConsumerParts) {
    this.#parts = parts;
    this.#settles = new SettlePath(parts.port, parts.writer, parts.clock);
  }

  // ---- requests ----

  /** @throws MillraceError MALFORMED_FRAME */
  checkSlots(slots: number): void {
    if (slots >= 1) checkSlotsMax(slots);
    else throw slotsOutOfRange(slots);
  }

  /** Takes the consumer on: call checkSlots() before, and this right after CONSUMING was sent. */
  start(consume: QueueConsume): void {
    const { consumerId, session, topic, subscriptionId, slots, creditLimit } = consume;
    const { consumers, output, port } = this.#parts;
    let lending = this.#lendings.get(subscriptionId);
    if (lending === undefined) {
      lending = new QueueLending(port, output, subscriptionId, topic.shards, (full) => this.#full.add(full));
      this.#lendings.set(subscriptionId, lending);
    }
    const consumer = new QueueConsumer(
      this,
      { consumerId, session, topicId: topic.topicId, subscriptionId },
      topic.shards,
      slots,
      creditLimit,
    );
    consumers.add(consumer);
    lending.add(consumer);
    this.#planSoon(lending);
    this.#failIfAlone(consumer);
  }

  /** SETTLE: a frame whose type was read. */
  onSettle(session: Session, reader: FrameReader): void {
    this.#settles.onSettle(session, reader);
  }

  // ---- a consumer's own doings ----

  grant(consumer: QueueConsumer, slots: number, creditLimit: number): void {
    checkSlotsMax(slots);
    consumer.slots = slots;
    consumer.creditLimit = creditLimit;
    const lending = this.#lendings.get(consumer.subscriptionId);
    if (lending === undefined) return;
    lending.recallUseless(consumer);
    lending.wake(consumer);
    this.#planSoon(lending);
  }

  /** Resolves when all its settles have been answered, or when its session is over. */
  stop(consumer: QueueConsumer): Promise<void> {
    if (consumer.detached) {
      return Promise.reject(new MillraceError("UNKNOWN_CONSUMER", "the consumer is stopping already"));
    }
    this.#leave(consumer);
    return new Promise((resolve) => {
      consumer.onAnswered = resolve;
      this.#settles.flushConsumer(consumer);
    });
  }

  end(consumer: QueueConsumer): void {
    this.#leave(consumer);
    consumer.ended = true;
    consumer.opened(-consumer.openSettles);
    consumer.results.clear();
    consumer.onAnswered?.();
  }

  #leave(consumer: QueueConsumer): void {
    if (consumer.detached) return;
    this.#settles.detach(consumer);
    this.#blocked.delete(consumer);
    const { subscriptionId } = consumer;
    const lending = this.#lendings.get(subscriptionId);
    if (lending === undefined) return;
    lending.remove(consumer);
    if (lending.consumers.size > 0) {
      this.#planSoon(lending);
      return;
    }
    this.#lendings.delete(subscriptionId);
    this.#full.delete(lending);
  }

  // ---- what shards say ----

  onAvailable(shardId: number, subscriptionId: number): void {
    const lending = this.#lendings.get(subscriptionId);
    if (lending === undefined) return;
    lending.onAvailable(shardId);
    this.#plan(lending);
  }

  onEmpty(shardId: number, consumerId: number, messages: number, bytes: number): void {
    const consumer = this.#consumer(consumerId);
    const lending = consumer && this.#lendings.get(consumer.subscriptionId);
    if (consumer === undefined || lending === undefined || consumer.detached) return;
    lending.onEmpty(consumer, shardId, messages, bytes);
    this.#roomGiven(consumer);
    this.#plan(lending);
  }

  onLeased(
    shardId: number,
    consumerId: number,
    messages: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    this.#settles.onLeased(shardId, bytes, frameStart, frameLength);
    const consumer = this.#consumer(consumerId);
    const lending = consumer && this.#lendings.get(consumer.subscriptionId);
    // The shard learns that it is gone, and gives the records to others.
    if (consumer === undefined || lending === undefined || consumer.detached) return;
    lending.onLeased(consumer, shardId, messages, frameLength);
    consumer.session.send(new Uint8Array(bytes.buffer, bytes.byteOffset + frameStart, frameLength));
    this.#roomGiven(consumer);
    this.#plan(lending);
  }

  onSettled(shardId: number, consumerId: number, settleId: number, outcome: number, messages: number): void {
    const consumer = this.#consumer(consumerId);
    if (consumer === undefined) return;
    const frees = this.#settles.onSettled(consumer, shardId, settleId, outcome);
    if (!frees || consumer.detached) return;
    const lending = this.#lendings.get(consumer.subscriptionId);
    if (lending === undefined) return;
    lending.onSettled(consumer, shardId, messages);
    this.#plan(lending);
  }

  onSpace(shardId: number): void {
    this.#settles.onSpace(shardId);
    if (this.#settles.hasParked(shardId)) return;
    // Those that find the ring full again are added again.
    for (const lending of [...this.#full]) {
      this.#full.delete(lending);
      if (lending.onSpace(shardId)) this.#full.add(lending);
      this.#plan(lending);
    }
  }

  onDrainEnd(): void {
    this.#settles.flush();
    this.#pump();
  }

  /** Its leases are over, and so is credit that it was lent. */
  onShardDown(shardId: number): void {
    this.#settles.onShardDown(shardId);
    for (const consumer of this.#parts.consumers.values()) {
      if (consumer instanceof QueueConsumer) this.#settles.lose(consumer, shardId);
    }
    for (const lending of this.#lendings.values()) {
      if (lending.onShardDown(shardId)) this.#planSoon(lending);
    }
  }

  /** Consumers go on with the other shards of their topic, if it has any. */
  onShardFailed(shardId: number): void {
    this.#failedShards.add(shardId);
    this.onShardDown(shardId);
    for (const consumer of [...this.#parts.consumers.values()]) {
      if (consumer instanceof QueueConsumer) this.#failIfAlone(consumer);
    }
  }

  onShardUp(shardId: number): void {
    this.#failedShards.delete(shardId);
    for (const lending of this.#lendings.values()) {
      if (lending.onShardUp(shardId)) this.#planSoon(lending);
    }
  }

  // ---- sessions ----

  /** The session's socket has room again. */
  onWritable(session: Session): void {
    for (const consumer of session.consumers?.values() ?? []) {
      if (!(consumer instanceof QueueConsumer)) continue;
      if (consumer.isBlocked) this.#unblock(consumer);
      else this.#settles.flushConsumer(consumer);
    }
  }

  /** Once a second: whoever waits for room that somebody else of the session gave back is asked again. */
  tick(): void {
    for (const consumer of [...this.#blocked]) this.#unblock(consumer);
  }

  /** The broker shuts down: what is leased may be settled, but nothing more is leased. */
  drain(): void {
    this.#draining = true;
    for (const lending of this.#lendings.values()) {
      for (const consumer of lending.consumers) lending.recallAll(consumer);
    }
  }

  #failIfAlone(consumer: QueueConsumer): void {
    if (!consumer.shards.every((shardId) => this.#failedShards.has(shardId))) return;
    this.#parts.consumers.fail(
      consumer,
      new MillraceError("JOURNAL_FAILED", "the journals of all shards of the topic failed"),
    );
  }

  #consumer(consumerId: number): QueueConsumer | undefined {
    const consumer = this.#parts.consumers.get(consumerId);
    return consumer instanceof QueueConsumer ? consumer : undefined;
  }

  /** Others of the session may have waited for the room that this consumer's credit took. */
  #roomGiven({ session }: QueueConsumer): void {
    if (session.readers !== undefined) this.#parts.wakeStreams(session);
    if (this.#blocked.size === 0) return;
    for (const consumer of session.consumers?.values() ?? []) {
      if (consumer instanceof QueueConsumer && consumer.isBlocked) this.#unblock(consumer);
    }
  }

  #unblock(consumer: QueueConsumer): void {
    this.#blocked.delete(consumer);
    this.#settles.flushConsumer(consumer);
    const lending = this.#lendings.get(consumer.subscriptionId);
    if (lending === undefined) return;
    lending.wake(consumer);
    this.#planSoon(lending);
  }

  /** To be pumped at the end of this drain. */
  #plan(lending: QueueLending): void {
    if (lending.planned) return;
    lending.planned = true;
    this.#planned.push(lending);
  }

  #planSoon(lending: QueueLending): void {
    this.#plan(lending);
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.#parts.clock.soon(() => {
      this.#turnPlanned = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#planned.length === 0) return;
    const planned = this.#planned;
    this.#planned = [];
    for (const lending of planned) {
      lending.planned = false;
      if (!this.#draining) lending.pump(this.#blocked);
    }
  }
}

function checkSlotsMax(slots: number): void {
  if (slots > LIMITS.slotsMax) throw slotsOutOfRange(slots);
}

function slotsOutOfRange(slots: number): MillraceError {
  return new MillraceError("MALFORMED_FRAME", `a consumer has 1 to ${LIMITS.slotsMax} slots, not ${slots}`, {
    details: { slots, slotsMax: LIMITS.slotsMax },
  });
}
