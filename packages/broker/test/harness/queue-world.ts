import assert from "node:assert/strict";
import { BatchBuilder, SETTLE_ACTION } from "@millrace/protocol/internal";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { OVERFLOW_NONE } from "../../src/shard/topic-traits.ts";
import { MODE_KEYED, MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { DeadLetterTopic } from "./dead-letter-topic.ts";
import { QueueModel, type SentSettle } from "./queue-model.ts";
import type { GatewayEvent, Lease } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";
import { openingOf, type RigPartition, type ShardRig } from "./shard-rig.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;
const TOPIC = 1;
const LETTERS = 2;
export const LEASE_MS = 3_000;
export const BACKOFF_MAX_MS = 800;
const KEYS = ["k0", "k1", "k2", undefined] as const;

interface HeldLease {
  readonly lease: Lease;
  /** Bits of records that it has not settled itself. */
  open: number;
}

interface SimulatedConsumer {
  readonly consumerId: number;
  readonly subscription: SimulatedSubscription;
  messages: number;
  bytes: number;
  readonly held: HeldLease[];
}

export interface SimulatedSubscription {
  readonly opening: SubscriptionOpening;
  readonly models: readonly QueueModel[];
  /** Of what was redriven, by partition. */
  readonly redriven: readonly QueueModel[];
  paused: boolean;
  /** Whoever lends believes that there is something: nothing has come back since he was told so. */
  hasBacklog: boolean;
}

/** Everybody outside a shard with a queue and a keyed subscription: producers, consumers, and what they know. */
export class QueueWorld {
  readonly #rig: ShardRig;
  readonly #random: Seeded;
  readonly #partitions: readonly number[];
  readonly #subscriptions: readonly SimulatedSubscription[];
  readonly #letters: DeadLetterTopic;
  readonly #consumers: Map<number, SimulatedConsumer> = new Map();
  /** Whoever has ever lent. */
  readonly #lenders: Map<number, SimulatedSubscription> = new Map();
  readonly #sent: Map<number, SentSettle & { model: QueueModel; consumerId: number; messages: number }> =
    new Map();
  /** Publishes that wait for their ack, by partition. */
  readonly #publishing: { sequence: number; records: readonly [string, string | undefined][] }[][];
  readonly #nextSequence: number[];
  readonly #builder: BatchBuilder = new BatchBuilder(60_000);
  #lettersOpen = false;
  #nextConsumerId = 1;
  #values = 0;
  /** Times that a subscription was moved: each lets every record die once more. */
  #moves = 0;
  /** All that was said before was heard by then. */
  #heardMs = 0;
  delivered = 0;
  redeliveries = 0;

  constructor(random: Seeded, rig: ShardRig) {
    this.#random = random;
    this.#rig = rig;
    this.#letters = new DeadLetterTopic(rig, LETTERS);
    this.#partitions = Array.from({ length: 1 + random.below(2) }, (_, i) => i);
    const maxDeliveries = 2 + random.below(3);
    this.#subscriptions = [MODE_QUEUE, MODE_KEYED].map((mode, i) => {
      const keyed = mode === MODE_KEYED;
      const name = keyed ? "keyed" : "queue";
      const modelOf = (partition: number, isRedriven: boolean): QueueModel => {
        const of = `${isRedriven ? `${name}.dlq` : name}/${partition}`;
        return new QueueModel(of, keyed, maxDeliveries, !isRedriven);
      };
      return {
        opening: [10 + i, TOPIC, mode, LEASE_MS, maxDeliveries, 100, BACKOFF_MAX_MS, false, name, "jobs", []],
        models: this.#partitions.map((partition) => modelOf(partition, false)),
        redriven: this.#partitions.map((partition) => modelOf(partition, true)),
        paused: false,
        hasBacklog: true,
      };
    });
    this.#publishing = this.#partitions.map(() => []);
    this.#nextSequence = this.#partitions.map(() => 0);
  }

  /** Dead letters that were found. */
  get dead(): number {
    return this.#letters.size;
  }

  /** After recovery: tells the shard what a node tells it, and compares what became of everything with what is known. */
  recover(): void {
    const rig = this.#rig;
    const topics = this.#lettersOpen ? [TOPIC, LETTERS] : [TOPIC];
    const partitions = topics.flatMap((topicId) =>
      this.#partitions.map((partition): RigPartition => [topicId, partition, DURABILITY_FSYNCED]),
    );
    const traits = this.#lettersOpen ? [[LETTERS, OVERFLOW_NONE, TOPIC] as const] : [];
    rig.answer("reconcile", [partitions.map(openingOf), rig.journal.cleanShutdown, false, traits]);
    const isNew = rig.shard.state.subscriptions.size === 0;
    const openings = this.#subscriptions.map(({ opening, paused }) => pausedOf(opening, paused));
    for (const opening of isNew ? openings : []) {
      rig.answer("subscribe", [opening, this.#partitions.map((partition) => [partition, 0] as const)]);
    }
    rig.answer("reconcileSubscriptions", [openings, true]);
    this.hear();
    this.#readLetters();
  }

  /** The shard is gone with all it had not answered. */
  onShardRestart(): void {
    this.#consumers.clear();
    this.#sent.clear();
    for (const waiting of this.#publishing) waiting.length = 0;
    for (const subscription of this.#subscriptions) {
      subscription.hasBacklog = true;
      for (const model of [...subscription.models, ...subscription.redriven]) model.restarted();
    }
  }

  /** Nothing more will be heard of what was said before. */
  heardAll(): void {
    this.#heardMs = this.#rig.clock.monotonicMs();
  }

  /** A batch for some partition. */
  publish(): void {
    const random = this.#random;
    const partition = random.pick(this.#partitions);
    const builder = this.#builder;
    builder.reset();
    const wanted = random.oneIn(6) ? 20 + random.below(40) : 1 + random.below(5);
    const records: [string, string | undefined][] = [];
    while (records.length < wanted && builder.byteLength < 2500) {
      this.#values += 1;
      const value = `v${this.#values}`.padEnd(random.oneIn(8) ? random.below(400) : 0, ".");
      const key = random.pick(KEYS);
      builder.append({ value, key });
      records.push([value, key]);
    }
    const count = records.length;
    const stored = builder.finish().slice();
    const baseSequence = this.#nextSequence[partition] as number;
    const sent = this.#rig.gateway.publish({ topicId: TOPIC, partition, count, stored, baseSequence });
    if (!sent) return;
    this.#nextSequence[partition] = baseSequence + count;
    this.#publishing[partition]?.push({ sequence: baseSequence, records });
  }

  /** Credit for somebody, who may be new. */
  lend(): void {
    const random = this.#random;
    let consumer = this.#someConsumer();
    if (consumer === undefined || (this.#consumers.size < 5 && random.oneIn(3))) {
      const subscription = random.pick(this.#subscriptions);
      consumer = { consumerId: this.#nextConsumerId, subscription, messages: 0, bytes: 0, held: [] };
      this.#nextConsumerId += 1;
      this.#consumers.set(consumer.consumerId, consumer);
    }
    this.#lendTo(consumer, 1 + random.below(random.oneIn(3) ? 50 : 4), 100 + random.below(5000));
  }

  #lendTo(consumer: SimulatedConsumer, messages: number, bytes: number): void {
    const { gateway } = this.#rig;
    const subscriptionId = consumer.subscription.opening[0];
    if (gateway.link.lend(consumer.consumerId, subscriptionId, messages, bytes) < 0) return;
    gateway.link.flush();
    this.#lenders.set(consumer.consumerId, consumer.subscription);
    consumer.messages += messages;
    consumer.bytes += bytes;
  }

  /** Somebody wants the rest of his credit back. */
  recallSome(): void {
    const consumer = this.#someConsumer();
    if (consumer === undefined) return;
    this.#rig.gateway.link.recall(consumer.consumerId);
    this.#rig.gateway.link.flush();
  }

  #detach(consumer: SimulatedConsumer): void {
    if (this.#rig.gateway.link.detach(consumer.consumerId) < 0) return;
    this.#rig.gateway.link.flush();
    this.#consumers.delete(consumer.consumerId);
    const { models, redriven } = consumer.subscription;
    for (const model of [...models, ...redriven]) model.detached(consumer.consumerId);
  }

  /** Somebody settles some records that he holds. */
  settleSome(): void {
    const random = this.#random;
    const consumer = this.#someConsumer();
    if (consumer === undefined || consumer.held.length === 0) return;
    const held = random.pick(consumer.held);
    const action = random.pick([ACK, ACK, ACK, ACK, NACK, NACK, RELEASE, DEAD_LETTER, EXTEND]);
    const { length } = held.lease.values;
    const first = random.below(length);
    const count = random.oneIn(3) ? length - first : 1 + random.below(length - first);
    this.#settle(consumer, held, action, first, count);
  }

  #settle(consumer: SimulatedConsumer, held: HeldLease, action: number, first: number, count: number): void {
    const random = this.#random;
    const { lease } = held;
    const mask = count === 32 ? -1 : ((1 << count) - 1) << first;
    const isRepeated = (held.open & mask) !== mask;
    // A second settle of the same record is refused as a whole, or not if the first was: the model leaves that out.
    if (isRepeated) return;
    const argument =
      action === NACK ? random.pick([-1, 0, 500]) : action === EXTEND ? 500 + random.below(5000) : -1;
    const options = { argument, records: [first, count] as const };
    const reason = action === DEAD_LETTER ? { reason: "poison" } : {};
    let settleId: number;
    try {
      settleId = this.#rig.gateway.settle(lease, action, { ...options, ...reason });
    } catch {
      // The ring is full.
      return;
    }
    const model = this.#modelOf(consumer, lease);
    const nowMs = this.#rig.clock.monotonicMs();
    const sent = model.sent(lease, action, lease.offset + first, count, argument, nowMs);
    this.#sent.set(settleId, { ...sent, model, consumerId: consumer.consumerId, messages: count });
    if (action === EXTEND) return;
    held.open &= ~mask;
    if (held.open === 0) consumer.held.splice(consumer.held.indexOf(held), 1);
  }

  pauseSome(): void {
    this.#pause(this.#random.pick(this.#subscriptions), this.#random.oneIn(2));
  }

  detachSome(): void {
    const consumer = this.#someConsumer();
    if (consumer !== undefined) this.#detach(consumer);
  }

  #pause(subscription: SimulatedSubscription, paused: boolean): void {
    subscription.paused = paused;
    this.#rig.gateway.ask("configureSubscription", [pausedOf(subscription.opening, paused)]);
  }

  /** Some records of a partition are given up, whoever still wants them. */
  truncate(): void {
    const partition = this.#random.pick(this.#partitions);
    const end = this.#rig.shard.state.find(TOPIC, partition)?.highWatermark ?? 0;
    const offset = this.#random.below(Math.floor(end / 2) + 1);
    for (const { models } of this.#subscriptions) models[partition]?.dropBelow(offset);
    this.#rig.gateway.ask("truncate", [TOPIC, [[partition, offset]]]);
  }

  /** A subscription is moved in one partition, and everybody waits until it is. */
  seek(): void {
    const { storage } = this.#rig;
    const { opening, models } = this.#random.pick(this.#subscriptions);
    const partition = this.#random.pick(this.#partitions);
    const { crashAtCall } = storage;
    // Whether it was moved before a crash could not be told from what it gives.
    storage.crashAtCall = Number.POSITIVE_INFINITY;
    storage.capacityBytes = Number.POSITIVE_INFINITY;
    // A full disk is tried again after a while.
    this.#rig.clock.advance(1000);
    this.#settleAll();
    const end = this.#rig.shard.state.find(TOPIC, partition)?.highWatermark ?? 0;
    const offset = this.#random.below(end + 1);
    models[partition]?.moved(offset);
    this.#moves += 1;
    this.#rig.answer("seek", [opening[0], [[partition, offset]]]);
    this.hear();
    storage.crashAtCall = Math.max(crashAtCall, storage.calls + 1);
  }

  /** Somebody asks for a dead letter to be delivered again. */
  redrive(): void {
    const letters = this.#letters.waiting();
    if (letters.length === 0) return;
    const letter = this.#random.pick(letters);
    const subscription = this.#subscriptions.find(({ opening }) => opening[8] === letter.subscription);
    if (subscription === undefined) return;
    this.#letters.redriving(letter);
    this.#rig.gateway.ask("redrive", [LETTERS, [[letter.partition, letter.offset, subscription.opening[0]]]]);
  }

  #someConsumer(): SimulatedConsumer | undefined {
    const all = [...this.#consumers.values()];
    return all.length === 0 ? undefined : this.#random.pick(all);
  }

  #modelOf({ subscription }: SimulatedConsumer, { topicId, partition }: Lease): QueueModel {
    const models = topicId === TOPIC ? subscription.models : subscription.redriven;
    return models[partition] as QueueModel;
  }

  /** Tells everybody what the gateway has heard. @throws AssertionError when that must not be */
  hear(): void {
    const { gateway } = this.#rig;
    gateway.hear();
    for (const event of gateway.events.splice(0)) this.#heard(event);
  }

  #heard(event: GatewayEvent): void {
    switch (event.kind) {
      case "ack":
        this.#acked(event.partition, event.firstSequence, event.count, event.baseOffset);
        return;
      case "publish-error": {
        const waiting = this.#publishing[event.partition] ?? [];
        const at = waiting.findIndex(({ sequence }) => sequence === event.firstSequence);
        assert.equal(event.error, "DISK_FULL");
        waiting.splice(at, 1);
        return;
      }
      case "leased":
        this.#leased(event);
        return;
      case "available": {
        const subscription = this.#subscriptions.find(({ opening }) => opening[0] === event.subscriptionId);
        if (subscription !== undefined) subscription.hasBacklog = true;
        return;
      }
      case "empty": {
        const consumer = this.#consumers.get(event.consumerId);
        const subscription = this.#lenders.get(event.consumerId);
        if (subscription !== undefined) subscription.hasBacklog = false;
        if (consumer === undefined) return;
        consumer.messages -= event.messages;
        consumer.bytes -= event.bytes;
        assert.ok(consumer.messages >= 0, "more credit comes back than was lent");
        return;
      }
      case "settled": {
        const sent = this.#sent.get(event.settleId);
        this.#sent.delete(event.settleId);
        assert.ok(sent !== undefined, "nobody has sent this");
        const expected = sent.action === EXTEND && event.error === undefined ? [0] : [sent.messages, 0];
        assert.ok(
          expected.includes(event.messages),
          `${event.messages} of ${sent.messages} messages settled`,
        );
        const isSafe = this.#consumers.has(sent.consumerId);
        sent.model.settled(sent, event.error, this.#rig.clock.monotonicMs(), isSafe);
        return;
      }
      case "notice":
        assert.deepEqual(event.notice, ["dead-letter-topic", TOPIC]);
        this.#openLetters();
        return;
      case "reply":
        assert.ok(event.error === undefined || event.error === "DISK_FULL", event.error);
        return;
      default:
    }
  }

  #acked(partition: number, firstSequence: number, count: number, baseOffset: number): void {
    const waiting = this.#publishing[partition] ?? [];
    for (let done = 0; done < count; ) {
      const next = waiting.shift();
      assert.ok(next !== undefined && next.sequence === firstSequence + done, "an ack for nothing");
      next.records.forEach(([value, key], i) => {
        for (const { models } of this.#subscriptions)
          models[partition]?.learn(baseOffset + done + i, value, key);
      });
      done += next.records.length;
    }
  }

  #leased({ consumerId, messages, frameBytes, leases }: Extract<GatewayEvent, { kind: "leased" }>): void {
    const nowMs = this.#rig.clock.monotonicMs();
    const consumer = this.#consumers.get(consumerId);
    // It was detached: what it was given goes on to others at once.
    if (consumer === undefined) return;
    consumer.messages -= messages;
    consumer.bytes -= frameBytes;
    assert.ok(consumer.messages >= 0, "more messages than were lent");
    assert.ok(consumer.bytes >= 0 || messages === 1, "more bytes than were lent");
    assert.equal(
      leases.reduce((sum, { values }) => sum + values.length, 0),
      messages,
    );
    for (const lease of leases) {
      this.#modelOf(consumer, lease).leased(lease, nowMs, this.#heardMs + LEASE_MS);
      const { length } = lease.values;
      consumer.held.push({ lease, open: length === 32 ? -1 : (1 << length) - 1 });
      this.delivered += length;
      if (lease.deliveries > 1) this.redeliveries += length;
      if (lease.topicId === LETTERS) this.#letters.redrivenCame(lease);
    }
  }

  /** As a node does: the topic is there from now on. */
  #openLetters(): void {
    if (this.#lettersOpen) return;
    this.#lettersOpen = true;
    const openings = this.#partitions.map((partition) => openingOf([LETTERS, partition, DURABILITY_FSYNCED]));
    this.#rig.gateway.ask("open", [openings, [[LETTERS, OVERFLOW_NONE, TOPIC]]]);
  }

  /** Reads all dead letters back and compares them with what is known. */
  #readLetters(): void {
    if (!this.#lettersOpen) return;
    const letters = this.#partitions.flatMap((partition) => this.#letters.read(partition));
    this.hear();
    const copies = new Map<QueueModel, Map<number, number>>();
    for (const { subscription: name, partition, origin, value, key } of letters) {
      const model = this.#subscriptions.find(({ opening }) => opening[8] === name)?.models[partition];
      assert.ok(model !== undefined, `a dead letter of ${name}`);
      model.learn(origin, value, key);
      if (!copies.has(model)) copies.set(model, new Map());
      copies.get(model)?.set(origin, 1);
    }
    this.#letters.verifyBorn(letters, this.#moves);
    for (const { models } of this.#subscriptions) {
      for (const model of models) model.verifyDead(copies.get(model) ?? new Map());
    }
  }

  /** Everything is given away and acked; nothing may be left, or lost. */
  finish(): void {
    const rig = this.#rig;
    for (const subscription of this.#subscriptions) this.#pause(subscription, false);
    for (const consumer of [...this.#consumers.values()]) this.#detach(consumer);
    let quiet = 0;
    for (let rounds = 0; quiet < 4; rounds += 1) {
      assert.ok(rounds < 2000, "the queues do not run empty");
      const before = this.delivered;
      this.#settleAll();
      for (const subscription of this.#subscriptions) {
        const consumerId = this.#nextConsumerId;
        this.#nextConsumerId += 1;
        const consumer: SimulatedConsumer = { consumerId, subscription, messages: 0, bytes: 0, held: [] };
        this.#consumers.set(consumerId, consumer);
        // As a gateway: what it is not told of would never be asked for.
        if (subscription.hasBacklog) this.#lendTo(consumer, 1000, 1_000_000);
        this.#settleAll();
        for (let held = consumer.held[0]; held !== undefined; held = consumer.held[0]) {
          this.#settle(consumer, held, ACK, 0, held.lease.values.length);
          this.#settleAll();
        }
        this.#detach(consumer);
      }
      quiet = this.delivered === before ? quiet + 1 : 0;
      // Whatever waits for a time, as for the topic of dead letters, has had it.
      rig.clock.advance(quiet > 1 ? 40_000 : BACKOFF_MAX_MS);
    }
    this.#settleAll();
    assert.equal(this.#sent.size, 0, "settles are not answered");
    this.#readLetters();
    for (const { opening } of this.#subscriptions) {
      for (const row of rig.answer("subscriptionState", [opening[0]])) {
        const [, position, , highWatermark, available, leased, waiting] = row;
        assert.deepEqual([position, available, leased, waiting], [highWatermark, 0, 0, 0]);
      }
    }
    for (const { models } of this.#subscriptions) for (const model of models) model.verifyFinished();
  }

  #settleAll(): void {
    this.#rig.settle();
    this.#heardMs = this.#rig.clock.monotonicMs();
    this.hear();
    this.#rig.settle();
    this.hear();
  }
}

function pausedOf(opening: SubscriptionOpening, paused: boolean): SubscriptionOpening {
  const [id, topicId, mode, leaseMs, maxDeliveries, min, max, , ...rest] = opening;
  return [id, topicId, mode, leaseMs, maxDeliveries, min, max, paused, ...rest];
}
