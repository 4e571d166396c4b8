import assert from "node:assert/strict";
import type { SimulatedStorage, Storage } from "@millrace/journal/internal";
import { BatchReader, MillraceError } from "@millrace/protocol";
import { BatchBuilder, SETTLE_ACTION } from "@millrace/protocol/internal";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { OVERFLOW_NONE } from "../../src/shard/topic-traits.ts";
import { MODE_KEYED, MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { QueueModel, type SentSettle } from "./queue-model.ts";
import type { GatewayEvent, Lease } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";
import { openingOf, type RigPartition, ShardRig } from "./shard-rig.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;
const TOPIC = 1;
const LETTERS = 2;
const LETTERS_STREAM = 77;
const LEASE_MS = 3_000;
const BACKOFF_MAX_MS = 800;
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

interface SimulatedSubscription {
  readonly opening: SubscriptionOpening;
  readonly models: readonly QueueModel[];
  /** Of what was redriven, by partition. */
  readonly redriven: readonly QueueModel[];
  paused: boolean;
}

interface DeadLetterFound {
  readonly subscription: string;
  readonly partition: number;
  readonly offset: number;
  readonly origin: number;
  readonly value: string;
  readonly key: string | undefined;
}

export interface QueueSimulationOptions {
  readonly wrapStorage?: (storage: SimulatedStorage) => Storage;
}

/**
 * A shard with a queue and a keyed subscription, their producers and consumers on one thread, decided by a seed: it lives,
 * dies in one of many ways, is started again, and must have kept what QueueModel says.
 */
export class QueueSimulation {
  readonly rig: ShardRig;
  readonly #random: Seeded;
  readonly #partitions: number;
  readonly #subscriptions: readonly SimulatedSubscription[];
  readonly #consumers: Map<number, SimulatedConsumer> = new Map();
  readonly #sent: Map<number, SentSettle & { model: QueueModel; consumerId: number; messages: number }> =
    new Map();
  /** Publishes that wait for their ack, by partition. */
  readonly #publishing: { sequence: number; records: readonly [string, string | undefined][] }[][];
  readonly #nextSequence: number[];
  readonly #letters: Map<string, DeadLetterFound> = new Map();
  readonly #redriving: Map<string, DeadLetterFound> = new Map();
  readonly #redriven: Set<string> = new Set();
  readonly #builder: BatchBuilder = new BatchBuilder(60_000);
  #lettersOpen = false;
  #nextConsumerId = 1;
  #values = 0;
  /** All that was said before was heard by then. */
  #heardMs = 0;
  delivered = 0;
  restarts = 0;
  dead = 0;
  redeliveries = 0;

  constructor(random: Seeded, options: QueueSimulationOptions = {}) {
    this.#random = random;
    this.rig = new ShardRig({
      ...options,
      shardId: 0,
      shardCount: 1,
      seed: random.below(2 ** 31),
      inboundBytes: random.pick([32_768, 65_536]),
      outboundBytes: random.pick([32_768, 65_536]),
      segmentSizeBytes: random.pick([8192, 16_384, 65_536]),
      steppedBackground: random.oneIn(2),
      settling: {
        batchBytes: random.pick([8192, 40_000]),
        afterMs: random.pick([0, 1000]),
        rewriteDeadBytesMin: 256,
      },
    });
    this.#partitions = 1 + random.below(2);
    const numbers = Array.from({ length: this.#partitions }, (_, i) => i);
    const maxDeliveries = 2 + random.below(3);
    this.#subscriptions = [MODE_QUEUE, MODE_KEYED].map((mode, i) => {
      const name = mode === MODE_KEYED ? "keyed" : "queue";
      const keyed = mode === MODE_KEYED;
      return {
        opening: [10 + i, TOPIC, mode, LEASE_MS, maxDeliveries, 100, BACKOFF_MAX_MS, false, name, "jobs", []],
        models: numbers.map((partition) => new QueueModel(`${name}/${partition}`, keyed, maxDeliveries)),
        redriven: numbers.map(
          (partition) => new QueueModel(`${name}.dlq/${partition}`, keyed, maxDeliveries, false),
        ),
        paused: false,
      };
    });
    this.#publishing = numbers.map(() => []);
    this.#nextSequence = numbers.map(() => 0);
  }

  /** Lives several times and dies as often. @throws AssertionError, or whatever the shard must not throw */
  run(): void {
    for (let lives = 2 + this.#random.below(3); lives > 0; lives -= 1) {
      this.#start();
      this.#live();
    }
    this.#start();
    this.#finish();
  }

  /** One life that ends at the given call of the storage, and what follows. @returns false when life was shorter */
  runUntilCall(call: number, steps: number, kind: "process" | "power"): boolean {
    const { storage } = this.rig;
    this.#start();
    storage.crashAtCall = storage.calls + call;
    try {
      this.#act(steps);
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    const { hasCrashed } = storage;
    this.#die(kind);
    this.#start();
    this.#finish();
    return hasCrashed;
  }

  // Lives and deaths.

  #start(): void {
    const { rig } = this;
    const { storage } = rig;
    for (let tries = 0; ; tries += 1) {
      if (tries < 3 && this.#random.oneIn(4)) storage.crashAtCall = storage.calls + this.#random.below(80);
      try {
        this.#recover();
        storage.crashAtCall = Number.POSITIVE_INFINITY;
        if (!storage.hasCrashed) return;
      } catch (error) {
        if (!storage.hasCrashed) throw error;
      }
      this.#die(this.#random.pick(["process", "power"]));
    }
  }

  #recover(): void {
    const { rig } = this;
    rig.open();
    const numbers = Array.from({ length: this.#partitions }, (_, i) => i);
    const topics = this.#lettersOpen ? [TOPIC, LETTERS] : [TOPIC];
    const partitions = topics.flatMap((topicId) =>
      numbers.map((partition): RigPartition => [topicId, partition, DURABILITY_FSYNCED]),
    );
    const traits = this.#lettersOpen ? [[LETTERS, OVERFLOW_NONE, TOPIC] as const] : [];
    rig.answer("reconcile", [partitions.map(openingOf), rig.journal.cleanShutdown, false, traits]);
    const isNew = rig.shard.state.subscriptions.size === 0;
    for (const { opening, paused } of this.#subscriptions) {
      const starts = numbers.map((partition) => [partition, 0] as const);
      if (isNew) rig.answer("subscribe", [opening, starts]);
      else rig.answer("reconcileSubscriptions", [[pausedOf(opening, paused)], false]);
    }
    rig.answer("reconcileSubscriptions", [
      this.#subscriptions.map(({ opening, paused }) => pausedOf(opening, paused)),
      true,
    ]);
    this.#hear();
    this.#readLetters();
  }

  #live(): void {
    const random = this.#random;
    const { storage } = this.rig;
    const ending = random.pick(["clean", "process", "power", "at-a-call", "at-a-call"] as const);
    if (ending === "at-a-call") storage.crashAtCall = storage.calls + random.below(300);
    try {
      this.#act(40 + random.below(250));
      if (ending === "clean") {
        this.rig.stopCleanly();
        this.#hear();
      }
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    this.#die(ending === "process" ? "process" : "power");
  }

  #die(kind: "process" | "power"): void {
    this.rig.crash(kind);
    this.restarts += 1;
    this.#consumers.clear();
    this.#sent.clear();
    for (const waiting of this.#publishing) waiting.length = 0;
    for (const { models, redriven } of this.#subscriptions) {
      for (const model of [...models, ...redriven]) model.restarted();
    }
  }

  #act(steps: number): void {
    for (let step = 0; step < steps && !this.rig.storage.hasCrashed; step += 1) {
      this.#step();
      this.#hear();
    }
  }

  #step(): void {
    const { rig } = this;
    const random = this.#random;
    const choice = random.below(32);
    if (choice < 4) this.#publish();
    else if (choice < 8) this.#lend();
    else if (choice < 14) this.#settleSome();
    else if (choice < 20) {
      if (random.oneIn(5)) rig.shard.doWork();
      else this.#cycle();
    } else if (choice < 25) rig.sync();
    else if (choice < 27) {
      rig.serveFetches(1 + random.below(3));
      rig.serveColdReads();
    } else if (choice === 27) rig.background.step();
    else if (choice === 28) rig.clock.advance(random.below(random.oneIn(4) ? LEASE_MS * 2 : 400));
    else if (choice === 29) this.#creditMoves();
    else if (choice === 30) this.#rarely();
    else this.#cycle();
  }

  #cycle(): void {
    this.rig.cycle();
    this.#heardMs = this.rig.clock.monotonicMs();
  }

  #rarely(): void {
    const { rig } = this;
    const choice = this.#random.below(5);
    if (choice === 0) rig.shard.checkpoint(false);
    else if (choice === 1) rig.clock.setWallBack(this.#random.below(5000));
    else if (choice === 2) this.#pause(this.#random.pick(this.#subscriptions), this.#random.oneIn(2));
    else if (choice === 3) this.#redrive();
    else {
      const consumer = this.#someConsumer();
      if (consumer !== undefined) this.#detach(consumer);
    }
  }

  // What producers and consumers do.

  #publish(): void {
    const random = this.#random;
    const partition = random.below(this.#partitions);
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
    const sent = this.rig.gateway.publish({ topicId: TOPIC, partition, count, stored, baseSequence });
    if (!sent) return;
    this.#nextSequence[partition] = baseSequence + count;
    this.#publishing[partition]?.push({ sequence: baseSequence, records });
  }

  #lend(): void {
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
    const { gateway } = this.rig;
    const subscriptionId = consumer.subscription.opening[0];
    if (gateway.link.lend(consumer.consumerId, subscriptionId, messages, bytes) < 0) return;
    gateway.link.flush();
    consumer.messages += messages;
    consumer.bytes += bytes;
  }

  #creditMoves(): void {
    const consumer = this.#someConsumer();
    if (consumer === undefined) return;
    this.rig.gateway.link.recall(consumer.consumerId);
    this.rig.gateway.link.flush();
  }

  #detach(consumer: SimulatedConsumer): void {
    if (this.rig.gateway.link.detach(consumer.consumerId) < 0) return;
    this.rig.gateway.link.flush();
    this.#consumers.delete(consumer.consumerId);
    const { models, redriven } = consumer.subscription;
    for (const model of [...models, ...redriven]) model.detached(consumer.consumerId);
  }

  #settleSome(): void {
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
      settleId = this.rig.gateway.settle(lease, action, { ...options, ...reason });
    } catch {
      // The ring is full.
      return;
    }
    const model = this.#modelOf(consumer, lease);
    const nowMs = this.rig.clock.monotonicMs();
    const sent = model.sent(lease, action, lease.offset + first, count, argument, nowMs);
    this.#sent.set(settleId, { ...sent, model, consumerId: consumer.consumerId, messages: count });
    if (action === EXTEND) return;
    held.open &= ~mask;
    if (held.open === 0) consumer.held.splice(consumer.held.indexOf(held), 1);
  }

  #pause(subscription: SimulatedSubscription, paused: boolean): void {
    subscription.paused = paused;
    this.rig.gateway.ask("configureSubscription", [pausedOf(subscription.opening, paused)]);
  }

  #redrive(): void {
    const letters = [...this.#letters].filter(([id]) => !this.#redriven.has(id));
    if (letters.length === 0) return;
    const [id, letter] = this.#random.pick(letters);
    const subscription = this.#subscriptions.find(({ opening }) => opening[8] === letter.subscription);
    if (subscription === undefined) return;
    // Whether it was is only known by what comes of it: a crash may come before it is durable.
    this.#redriving.set(id, letter);
    this.rig.gateway.ask("redrive", [LETTERS, [[letter.partition, letter.offset, subscription.opening[0]]]]);
  }

  #someConsumer(): SimulatedConsumer | undefined {
    const all = [...this.#consumers.values()];
    return all.length === 0 ? undefined : this.#random.pick(all);
  }

  #modelOf({ subscription }: SimulatedConsumer, { topicId, partition }: Lease): QueueModel {
    const models = topicId === TOPIC ? subscription.models : subscription.redriven;
    return models[partition] as QueueModel;
  }

  // What they hear.

  #hear(): void {
    const { gateway } = this.rig;
    gateway.hear();
    for (const event of gateway.events.splice(0)) this.#heard(event);
  }

  #heard(event: GatewayEvent): void {
    switch (event.kind) {
      case "ack":
        this.#acked(event.partition, event.firstSequence, event.count, event.baseOffset);
        return;
      case "leased":
        this.#leased(event);
        return;
      case "empty": {
        const consumer = this.#consumers.get(event.consumerId);
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
        sent.model.settled(sent, event.error, this.rig.clock.monotonicMs(), isSafe);
        return;
      }
      case "notice":
        assert.deepEqual(event.notice, ["dead-letter-topic", TOPIC]);
        this.#openLetters();
        return;
      case "reply":
        assert.equal(event.error, undefined);
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
    const nowMs = this.rig.clock.monotonicMs();
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
      if (lease.topicId === LETTERS) this.#redrivenCame(lease);
    }
  }

  #redrivenCame(lease: Lease): void {
    lease.values.forEach((value, i) => {
      const id = `${lease.partition}/${lease.offset + i}`;
      const letter = this.#redriving.get(id);
      assert.ok(letter !== undefined, `${id}: nobody has redriven it`);
      assert.equal(value, letter.value);
      this.#redriven.add(id);
    });
  }

  /** As a node does: the topic is there from now on. */
  #openLetters(): void {
    if (this.#lettersOpen) return;
    this.#lettersOpen = true;
    const openings = Array.from({ length: this.#partitions }, (_, partition) =>
      openingOf([LETTERS, partition, DURABILITY_FSYNCED]),
    );
    this.rig.gateway.ask("open", [openings, [[LETTERS, OVERFLOW_NONE, TOPIC]]]);
  }

  /** Reads all dead letters back and compares them with what is known. */
  #readLetters(): void {
    if (!this.#lettersOpen) return;
    const copies = new Map<QueueModel, Map<number, number>>();
    const born = new Map<string, number>();
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      for (const letter of this.#lettersOf(partition)) {
        const id = `${partition}/${letter.offset}`;
        this.#letters.set(id, letter);
        const subscription = this.#subscriptions.find(({ opening }) => opening[8] === letter.subscription);
        const model = subscription?.models[partition];
        assert.ok(model !== undefined, `a dead letter of ${letter.subscription}`);
        model.learn(letter.origin, letter.value, letter.key);
        const of = `${letter.subscription}/${partition}/${letter.origin}`;
        born.set(of, (born.get(of) ?? 0) + 1);
        if (!copies.has(model)) copies.set(model, new Map());
        copies.get(model)?.set(letter.origin, 1);
      }
    }
    this.dead = this.#letters.size;
    for (const [of, count] of born) {
      const redriven = [...this.#redriving.values()].filter((letter) => {
        return `${letter.subscription}/${letter.partition}/${letter.origin}` === of;
      });
      assert.ok(count <= 1 + redriven.length, `${of}: ${count} dead letters, ${redriven.length} redriven`);
    }
    for (const { models } of this.#subscriptions) {
      for (const model of models) model.verifyDead(copies.get(model) ?? new Map());
    }
  }

  #lettersOf(partition: number): DeadLetterFound[] {
    const { rig } = this;
    const found: DeadLetterFound[] = [];
    const end = rig.shard.state.find(LETTERS, partition)?.highWatermark ?? 0;
    const batch = new BatchReader();
    for (let offset = 0, tries = 0; offset < end; tries += 1) {
      assert.ok(tries < 1000, "reading the dead letters comes to no end");
      rig.gateway.read(LETTERS_STREAM, LETTERS, offset, 60_000, partition);
      rig.settle();
      for (const { entries, streamId } of rig.gateway.take("deliver")) {
        if (streamId !== LETTERS_STREAM) continue;
        for (const { baseOffset, stored } of entries) {
          batch.reset(stored, 0, stored.length);
          assert.ok(batch.verifyChecksum());
          const { headers, value, key } = batch.recordAt(0);
          assert.ok(headers !== undefined);
          assert.equal(headers["millrace-origin-topic"], "jobs");
          assert.equal(headers["millrace-origin-partition"], String(partition));
          found.push({
            subscription: String(headers["millrace-subscription"]),
            partition,
            offset: baseOffset,
            origin: Number(headers["millrace-origin-offset"]),
            value: String(value),
            key: key === undefined ? undefined : String(key),
          });
          offset = baseOffset + 1;
        }
      }
      this.#hear();
    }
    return found;
  }

  /** Everything is given away and acked; nothing may be left, or lost. */
  #finish(): void {
    const { rig } = this;
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
        this.#lendTo(consumer, 1000, 1_000_000);
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
    for (const { models } of this.#subscriptions) for (const model of models) model.verifyFinished();
  }

  #settleAll(): void {
    this.rig.settle();
    this.#heardMs = this.rig.clock.monotonicMs();
    this.#hear();
    this.rig.settle();
    this.#hear();
  }
}

function pausedOf(opening: SubscriptionOpening, paused: boolean): SubscriptionOpening {
  const [id, topicId, mode, leaseMs, maxDeliveries, min, max, , ...rest] = opening;
  return [id, topicId, mode, leaseMs, maxDeliveries, min, max, paused, ...rest];
}

/** A failed sync or write. */
export function isJournalFailure(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_FAILED";
}
