import assert from "node:assert/strict";
import { SETTLE_ACTION } from "@millrace/protocol/internal";
import { gatewayOf } from "../../src/link/gateway-ids.ts";
import { OVERFLOW_NONE } from "../../src/shard/topic-traits.ts";
import { MODE_KEYED, MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { DeadLetterTopic } from "./dead-letter-topic.ts";
import { GatewayAbsences } from "./gateway-absences.ts";
import { QueueModel, type SentSettle } from "./queue-model.ts";
import { QueueProducer } from "./queue-producer.ts";
import type { GatewayEvent, Lease } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";
import { openingOf, type RigPartition, type ShardRig } from "./shard-rig.ts";
import { modelOf, pausedOf, type SimulatedSubscription } from "./simulated-subscription.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;
const TOPIC = 1;
const LETTERS = 2;
export const LEASE_MS = 3_000;
export const BACKOFF_MAX_MS = 800;
/** Whom the consumers come by. */
export const GATEWAYS = 3;

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

const ALL_GATEWAYS = Array.from({ length: GATEWAYS }, (_, gateway) => gateway);

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
  readonly #producer: QueueProducer;
  readonly #absences: GatewayAbsences = new GatewayAbsences();
  /** Of consumers that are gone with their gateways; those come back with them. */
  #freeIds: number[] = [];
  #lettersOpen = false;
  #lastConsumer = 0;
  /** Times that a subscription was moved: each lets every record die once more. */
  #moves = 0;
  /** All that was said before was heard by then. */
  #heardMs = 0;
  delivered = 0;
  redeliveries = 0;
  /** Gateways that lost their way and came back. */
  returned = 0;

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
        backlogAt: new Set(ALL_GATEWAYS),
      };
    });
    this.#producer = new QueueProducer(random, rig, TOPIC, this.#partitions.length);
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
    this.#producer.onShardRestart();
    this.#absences.onShardRestart();
    this.#freeIds = [];
    for (const subscription of this.#subscriptions) {
      for (const gateway of ALL_GATEWAYS) subscription.backlogAt.add(gateway);
      for (const model of [...subscription.models, ...subscription.redriven]) model.restarted();
    }
  }

  /** Nothing more will be heard of what was said before. */
  heardAll(): void {
    this.#heardMs = this.#rig.clock.monotonicMs();
  }

  /** A batch for some partition. */
  publish(): void {
    this.#producer.publish();
  }

  /** Credit for somebody, who may be new. */
  lend(): void {
    const random = this.#random;
    let consumer = this.#someConsumer();
    if (consumer === undefined || (this.#consumers.size < 5 && random.oneIn(3))) {
      const gateway = random.below(GATEWAYS);
      if (this.#absences.isAway(gateway)) return;
      consumer = this.#newConsumer(random.pick(this.#subscriptions), gateway);
    }
    this.#lendTo(consumer, 1 + random.below(random.oneIn(3) ? 50 : 4), 100 + random.below(5000));
  }

  #newConsumer(subscription: SimulatedSubscription, gateway: number): SimulatedConsumer {
    const free = this.#freeIds.findIndex((id) => gatewayOf(id) === gateway);
    const [reused] = free < 0 ? [] : this.#freeIds.splice(free, 1);
    this.#lastConsumer += 1;
    const consumerId = reused ?? gateway * 2 ** 24 + this.#lastConsumer;
    const consumer: SimulatedConsumer = { consumerId, subscription, messages: 0, bytes: 0, held: [] };
    this.#consumers.set(consumerId, consumer);
    return consumer;
  }

  /** A guest loses its way to the shard, and its consumers with it. */
  loseGateway(): void {
    const gateway = 1 + this.#random.below(GATEWAYS - 1);
    if (this.#absences.isAway(gateway)) return;
    this.#absences.leave(this.#rig.gateway, gateway);
    for (const consumer of [...this.#consumers.values()]) {
      if (gatewayOf(consumer.consumerId) !== gateway) continue;
      this.#forget(consumer);
      this.#freeIds.push(consumer.consumerId);
    }
    for (const [settleId, { consumerId }] of this.#sent) {
      if (gatewayOf(consumerId) === gateway) this.#sent.delete(settleId);
    }
  }

  #returned(gateway: number): void {
    this.returned += 1;
    for (const { backlogAt } of this.#subscriptions) backlogAt.add(gateway);
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
    this.#forget(consumer);
  }

  #forget(consumer: SimulatedConsumer): void {
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
    const model = modelOf(consumer.subscription, lease);
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

  /** Tells everybody what the gateway has heard. @throws AssertionError when that must not be */
  hear(): void {
    const { gateway } = this.#rig;
    gateway.hear();
    for (const heard of gateway.takeAll()) {
      if (!this.#absences.isAway(heard.gateway)) this.#heard(heard.event, heard.gateway);
      else if (heard.event.kind === "leased") this.#lost(heard.event);
    }
  }

  /** Nobody gets it; it counts as a delivery all the same. */
  #lost({ consumerId, leases }: Extract<GatewayEvent, { kind: "leased" }>): void {
    const subscription = this.#lenders.get(consumerId);
    assert.ok(subscription !== undefined);
    for (const lease of leases) {
      const model = modelOf(subscription, lease);
      model.leased(lease, this.#rig.clock.monotonicMs(), 0);
      model.detached(consumerId);
    }
  }

  #heard(event: GatewayEvent, gateway: number): void {
    switch (event.kind) {
      case "ack":
        this.#producer.onAck(event, (partition, offset, value, key) => {
          for (const { models } of this.#subscriptions) models[partition]?.learn(offset, value, key);
        });
        return;
      case "publish-error":
        this.#producer.onError(event);
        return;
      case "leased":
        this.#leased(event);
        return;
      case "available": {
        const subscription = this.#subscriptions.find(({ opening }) => opening[0] === event.subscriptionId);
        subscription?.backlogAt.add(gateway);
        return;
      }
      case "empty": {
        const consumer = this.#consumers.get(event.consumerId);
        const subscription = this.#lenders.get(event.consumerId);
        subscription?.backlogAt.delete(gateway);
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
      case "reply": {
        const back = this.#absences.onReply(this.#rig.gateway, event.requestId);
        if (back !== undefined) this.#returned(back);
        assert.ok(event.error === undefined || event.error === "DISK_FULL", event.error);
        return;
      }
      default:
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
      modelOf(consumer.subscription, lease).leased(lease, nowMs, this.#heardMs + LEASE_MS);
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
      const ofModel = copies.get(model) ?? new Map<number, number>();
      copies.set(model, ofModel.set(origin, (ofModel.get(origin) ?? 0) + 1));
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
    for (let rounds = 0; quiet < 4 + GATEWAYS; rounds += 1) {
      assert.ok(rounds < 2000, "the queues do not run empty");
      const before = this.delivered;
      this.#settleAll();
      // Each comes by all gateways in turn.
      for (const subscription of this.#subscriptions) this.#drain(subscription, rounds % GATEWAYS);
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

  /** A consumer that comes by this gateway acks all that it gets. */
  #drain(subscription: SimulatedSubscription, gateway: number): void {
    const consumer = this.#newConsumer(subscription, gateway);
    // As a gateway: what it is not told of would never be asked for.
    if (subscription.backlogAt.has(gateway)) this.#lendTo(consumer, 1000, 1_000_000);
    this.#settleAll();
    for (let held = consumer.held[0]; held !== undefined; held = consumer.held[0]) {
      this.#settle(consumer, held, ACK, 0, held.lease.values.length);
      this.#settleAll();
    }
    this.#detach(consumer);
  }

  #settleAll(): void {
    this.#rig.settle();
    this.#heardMs = this.#rig.clock.monotonicMs();
    this.hear();
    this.#rig.settle();
    this.hear();
  }
}
