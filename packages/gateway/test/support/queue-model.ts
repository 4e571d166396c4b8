import { BatchReader, ERROR_CODES, type Frame, SETTLE_ACTION } from "@millrace/protocol";
import type { InMemoryClient } from "./in-memory.ts";

const LEASE_EXPIRED = ERROR_CODES.LEASE_EXPIRED.code;
const SHARD_RESTARTED = ERROR_CODES.SHARD_RESTARTED.code;
const CHECKSUM_BYTES = 5;

/** A lease as its client knows it. */
export interface ModelLease {
  readonly shardId: number;
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  readonly deliveryCount: number;
  readonly firstOffset: number;
  readonly values: readonly string[];
  /** Offsets that were not settled. */
  readonly open: Set<number>;
  /** Its shard was lost. */
  isVoid: boolean;
}

interface ModelSettle {
  readonly lease: ModelLease;
  readonly count: number;
  readonly action: number;
}

/** What a client knows of one of its consumers. */
export class ModelConsumer {
  readonly name: string;
  consumerId = 0;
  subscriptionId = 0;
  slots: number;
  /** The most that it ever had: what was lent before slots were taken back may still come. */
  slotsMost: number;
  creditLimit: number;
  state: "asked" | "consuming" | "stopping" | "over" = "asked";
  readonly leases: Set<ModelLease> = new Set();
  readonly settles: Map<number, ModelSettle> = new Map();
  leased = 0;

  constructor(name: string, slots: number, creditLimit: number) {
    this.name = name;
    this.slots = slots;
    this.slotsMost = slots;
    this.creditLimit = creditLimit;
  }

  /** Messages that the broker has not confirmed as settled. */
  get unsettled(): number {
    let messages = 0;
    for (const lease of this.leases) if (!lease.isVoid) messages += lease.open.size;
    for (const { action, count, lease } of this.settles.values()) {
      if (action !== SETTLE_ACTION.EXTEND && !lease.isVoid) messages += count;
    }
    return messages;
  }
}

/** A client that checks what it is leased and answered: no more than it has slots, and one answer to each settle. */
export class QueueModel {
  readonly client: InMemoryClient;
  readonly consumers: Map<number, ModelConsumer> = new Map();
  readonly errors: string[] = [];
  readonly #shardOf: (topicId: number, partition: number) => number;
  readonly #asked: Map<number, ModelConsumer> = new Map();
  #nextId = 1;

  constructor(client: InMemoryClient, shardOf: (topicId: number, partition: number) => number) {
    this.client = client;
    this.#shardOf = shardOf;
    client.socket.onFrame = (frame) => this.#onFrame(frame);
  }

  get isClosed(): boolean {
    return this.client.socket.closed !== undefined;
  }

  consume(topic: string, name: string, slots: number, creditLimit = 1_000_000): ModelConsumer {
    const consumer = new ModelConsumer(name, slots, creditLimit);
    const requestId = this.#nextId++;
    this.#asked.set(requestId, consumer);
    this.client.send({
      name: "CONSUME",
      value: {
        requestId,
        topic,
        subscription: name,
        slots,
        creditLimit,
        create: { mode: "queue", from: ["earliest"] },
        extensions: {},
      },
    });
    return consumer;
  }

  credit(consumer: ModelConsumer, slots: number, creditLimit: number): void {
    consumer.slots = slots;
    consumer.slotsMost = Math.max(consumer.slotsMost, slots);
    consumer.creditLimit = creditLimit;
    const { consumerId } = consumer;
    this.client.send({ name: "CONSUMER_CREDIT", value: { consumerId, slots, creditLimit } });
  }

  /** Settles so many records of the lease, from its first open one on. */
  settle(consumer: ModelConsumer, lease: ModelLease, action: number, most = 32): number {
    const [firstOffset] = [...lease.open].sort((a, b) => a - b);
    if (firstOffset === undefined) throw new Error("nothing is left of the lease");
    let count = 1;
    while (count < most && lease.open.has(firstOffset + count)) count += 1;
    const settleId = this.#nextId++;
    if (action !== SETTLE_ACTION.EXTEND) {
      for (let i = 0; i < count; i += 1) lease.open.delete(firstOffset + i);
      if (lease.open.size === 0) consumer.leases.delete(lease);
    }
    consumer.settles.set(settleId, { lease, count, action });
    const { partition, leaseEpoch, leaseCounter } = lease;
    const argument = action === SETTLE_ACTION.EXTEND ? 5_000 : undefined;
    this.client.send({
      name: "SETTLE",
      value: {
        consumerId: consumer.consumerId,
        rows: [{ settleId, action, partition, leaseEpoch, leaseCounter, firstOffset, count, argument }],
      },
    });
    return settleId;
  }

  stop(consumer: ModelConsumer): void {
    consumer.state = "stopping";
    const { consumerId } = consumer;
    this.client.send({ name: "STOP_CONSUMING", value: { requestId: this.#nextId++, consumerId } });
  }

  /** What the shard leased is over. */
  lost(shardId: number): void {
    for (const consumer of this.consumers.values()) {
      for (const lease of consumer.leases) if (lease.shardId === shardId) lease.isVoid = true;
      for (const { lease } of consumer.settles.values()) if (lease.shardId === shardId) lease.isVoid = true;
    }
  }

  #onFrame(frame: Frame): void {
    switch (frame.name) {
      case "CONSUMING": {
        const { requestId, consumerId, subscription } = frame.value;
        const consumer = this.#asked.get(requestId) as ModelConsumer;
        this.#asked.delete(requestId);
        check(!this.consumers.has(consumerId), `consumer ${consumerId} is given twice`);
        consumer.consumerId = consumerId;
        consumer.subscriptionId = subscription.subscriptionId;
        consumer.state = "consuming";
        this.consumers.set(consumerId, consumer);
        break;
      }
      case "LEASED": {
        const consumer = this.#consumer(frame.value.consumerId);
        check(consumer.state === "consuming", "a lease after the end");
        for (const row of frame.value.rows) this.#leased(consumer, row);
        break;
      }
      case "SETTLED": {
        const consumer = this.#consumer(frame.value.consumerId);
        for (const { settleId, outcome } of frame.value.rows) {
          check(consumer.settles.delete(settleId), `settle ${settleId} is answered, and was not open`);
          const known = outcome === 0 || outcome === LEASE_EXPIRED || outcome === SHARD_RESTARTED;
          check(known, `settle ${settleId} came to ${outcome}`);
        }
        break;
      }
      case "CONSUMING_STOPPED": {
        const consumer = this.#consumer(frame.value.consumerId);
        check(
          consumer.settles.size === 0,
          `${consumer.settles.size} settles were not answered before the end`,
        );
        consumer.state = "over";
        this.consumers.delete(frame.value.consumerId);
        break;
      }
      case "ERROR":
        // A client asks again later.
        if (frame.value.name !== "SHARD_RESTARTED") this.errors.push(frame.value.name);
        break;
      case "WELCOME":
      case "PING":
      case "PONG":
        break;
      default:
        throw new Error(`unexpected ${frame.name}`);
    }
  }

  #leased(consumer: ModelConsumer, row: Extract<Frame, { name: "LEASED" }>["value"]["rows"][number]): void {
    const { topicId, partition, baseOffset, count, batch } = row;
    const bytes = Buffer.concat([batch, Buffer.alloc(CHECKSUM_BYTES)]);
    const reader = new BatchReader();
    reader.reset(bytes, 0, bytes.length);
    check(reader.count === count, `a lease of ${count} has ${reader.count} records`);
    const values = Array.from({ length: count }, (_, i) => Buffer.from(reader.valueAt(i)).toString());
    consumer.leases.add({
      shardId: this.#shardOf(topicId, partition),
      partition,
      leaseEpoch: row.leaseEpoch,
      leaseCounter: row.leaseCounter,
      deliveryCount: row.deliveryCount,
      firstOffset: baseOffset,
      values,
      open: new Set(Array.from({ length: count }, (_, i) => baseOffset + i)),
      isVoid: false,
    });
    consumer.leased += count;
    const { slotsMost, unsettled } = consumer;
    check(
      unsettled <= slotsMost,
      `consumer ${consumer.consumerId}: ${unsettled} messages are unsettled, with ${slotsMost} slots`,
    );
  }

  #consumer(consumerId: number): ModelConsumer {
    const consumer = this.consumers.get(consumerId);
    if (consumer === undefined) throw new Error(`a frame for consumer ${consumerId}, which there is not`);
    return consumer;
  }
}

function check(fact: boolean, message: string): void {
  if (!fact) throw new Error(message);
}
