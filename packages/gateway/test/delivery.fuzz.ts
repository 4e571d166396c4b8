import type { Topic } from "@millrace/broker/internal";
import t from "tap";
import { DeliveryPath } from "../src/delivery-path.ts";
import { seededRandom, storedBatch } from "./support/batches.ts";
import { ConsumerModel, ModelSubscription } from "./support/consumer-model.ts";
import { FakeNode } from "./support/fake-node.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

// Random schedules of shards, sockets, clients and turns, against clients that check every frame. Afterwards all that
// stands in the way is taken away, and everything must have come. SEED=n runs one seed, SEEDS=n so many.

const seeds =
  process.env.SEED === undefined ? range(Number(process.env.SEEDS ?? 80)) : [Number(process.env.SEED)];

const SHARDS = 2;
const BIG = new Uint8Array(120_000).fill(66);

class Run {
  readonly random: () => number;
  readonly node: FakeNode;
  readonly net: InMemoryGateway;
  readonly topics: readonly Topic[];
  readonly steps: number;
  readonly #wide: boolean;
  models: ConsumerModel[] = [];
  delivered = 0;
  moves = 0;
  #nextSubscription = 1;
  #down: Set<number> = new Set();

  constructor(seed: number, wide: boolean) {
    this.random = seededRandom(seed);
    this.steps = wide ? 300 : 600;
    this.#wide = wide;
    this.node = new FakeNode({ shards: SHARDS, random: this.random });
    this.net = new InMemoryGateway({ node: this.node });
    this.topics = [this.node.addTopic("a", { partitions: 1 }), this.node.addTopic("b", { partitions: 3 })];
    for (let client = wide ? 130 : 2; client > 0; client -= 1) {
      const model = new ConsumerModel(this.net.connect());
      this.models.push(model);
      this.#subscribe(model);
    }
  }

  async step(): Promise<void> {
    const roll = this.random();
    if (roll < 0.22) this.#append();
    else if (roll < 0.4) this.node.work(this.#below(SHARDS), 1 + this.#below(3));
    else if (roll < 0.6) this.node.answer(this.#below(SHARDS), 1 + this.#below(4), this.random() < 0.3);
    else if (roll < 0.7) this.net.clock.turn();
    else if (roll < 0.74) this.#subscribe();
    else if (roll < 0.76) this.#unsubscribe();
    else if (roll < 0.85) this.#grant(20_000);
    else if (roll < 0.9) this.#stall();
    else if (roll < 0.93) this.#connect();
    else if (roll < 0.935) this.#disconnect();
    else if (roll < 0.95) this.#ring();
    else if (roll < 0.96) this.#killOrRevive();
    else if (roll < 0.97) this.#age();
    else await tick();
  }

  /** Takes all obstacles away and checks that nothing is missing. */
  async finish(): Promise<void> {
    for (const shardId of [...this.#down]) this.#revive(shardId);
    for (const shard of this.node.shards) shard.capacityBytes = Number.POSITIVE_INFINITY;
    for (let shardId = 0; shardId < SHARDS; shardId += 1) this.net.gateway.node.onSpace(shardId);
    for (let round = 0; round < 400; round += 1) {
      for (const model of this.#open()) {
        model.client.socket.stalled = false;
        model.client.socket.drain();
        for (const subscription of model.subscriptions.values()) {
          if (subscription.confirmed) this.#flow(model, subscription, 400_000);
        }
      }
      await this.net.settle();
      if (
        this.#open().every((model) => [...model.subscriptions.values()].every((s) => model.missing(s) === 0))
      ) {
        break;
      }
    }
    // At the end of the log everybody is on the shared stream and goes on there.
    for (const topic of this.topics) {
      for (let partition = 0; partition < topic.partitions; partition += 1) {
        this.node.append(topic, partition, 1, storedBatch("last"));
      }
    }
    for (const model of this.#open()) {
      for (const subscription of model.subscriptions.values()) this.#flow(model, subscription, 400_000);
    }
    await this.net.settle();
    for (const model of this.models) {
      this.delivered += model.delivered;
      this.moves += model.moves;
      if (model.errors.length > 0) throw new Error(`errors: ${model.errors.join()}`);
      if (model.isClosed) continue;
      for (const subscription of model.subscriptions.values()) {
        if (!subscription.confirmed) throw new Error(`subscription ${subscription.id} was not confirmed`);
        const missing = model.missing(subscription);
        if (missing !== 0) throw new Error(`subscription ${subscription.id} lacks ${missing} offsets`);
      }
    }
    const failures = this.net.logged.filter(({ level }) => level === "error");
    if (failures.length > 0) throw new Error(JSON.stringify(failures));
  }

  #append(): void {
    const topic = this.#pick(this.topics);
    const partition = this.#below(topic.partitions);
    if (this.random() < 0.03) {
      this.node.partition(topic, partition).skip(1 + this.#below(5));
      return;
    }
    const count = 1 + this.#below(3);
    const value = this.random() < 0.05 ? BIG : new Uint8Array(this.#below(2000)).fill(65);
    const values = Array.from({ length: count }, () => value);
    this.node.append(topic, partition, count, storedBatch(...values));
  }

  #subscribe(model: ConsumerModel | undefined = this.#pickOpen()): void {
    if (model === undefined || model.subscriptions.size >= 3) return;
    const topic = this.#wide ? (this.topics[0] as Topic) : this.#pick(this.topics);
    const id = this.#nextSubscription++;
    // Every client can take the largest batch in the end, but not always at first.
    const creditLimit = 400_000 + this.#below(400_000);
    const subscription = new ModelSubscription(
      id,
      (partition) => this.node.partition(topic, partition),
      creditLimit,
    );
    model.subscriptions.set(id, subscription);
    const from = this.random() < 0.5 ? ({ kind: "earliest" } as const) : ({ kind: "latest" } as const);
    model.client.subscribe(id, topic.name, { from, creditLimit });
  }

  #unsubscribe(): void {
    const model = this.#pickOpen();
    const [subscription] = model?.subscriptions.values() ?? [];
    if (model === undefined || subscription === undefined || !subscription.confirmed) return;
    model.client.send({ name: "UNSUBSCRIBE", value: { requestId: 1, subscriptionId: subscription.id } });
    model.end(subscription);
  }

  #grant(bytes: number): void {
    for (const model of this.#open()) {
      for (const subscription of model.subscriptions.values()) {
        if (this.random() < 0.3) this.#flow(model, subscription, this.#below(bytes));
      }
    }
  }

  #flow(model: ConsumerModel, subscription: ModelSubscription, bytes: number): void {
    subscription.creditLimit = Math.max(subscription.creditLimit, subscription.creditUsed + bytes);
    model.client.flow(subscription.id, subscription.creditLimit);
  }

  #stall(): void {
    const model = this.#pickOpen();
    if (model === undefined) return;
    const { socket } = model.client;
    if (this.random() < 0.5) {
      socket.stalled = true;
    } else {
      socket.stalled = false;
      socket.drain(this.random() < 0.5 ? undefined : 100_000);
    }
  }

  #connect(): void {
    if (this.#open().length < (this.#wide ? 150 : 5)) this.models.push(new ConsumerModel(this.net.connect()));
  }

  #disconnect(): void {
    this.#pickOpen()?.client.socket.close();
  }

  #ring(): void {
    const shardId = this.#below(SHARDS);
    const shard = this.node.shards[shardId];
    if (shard === undefined) return;
    if (shard.capacityBytes === 0) {
      shard.capacityBytes = Number.POSITIVE_INFINITY;
      shard.waiting = false;
      this.net.gateway.node.onSpace(shardId);
    } else {
      shard.capacityBytes = 0;
    }
  }

  #killOrRevive(): void {
    const shardId = this.#below(SHARDS);
    if (this.#down.has(shardId)) this.#revive(shardId);
    else {
      this.#down.add(shardId);
      this.node.kill(shardId);
    }
  }

  #revive(shardId: number): void {
    this.#down.delete(shardId);
    this.node.revive(shardId);
  }

  /** The tail cache forgets, or retention takes. */
  #age(): void {
    const topic = this.#pick(this.topics);
    const log = this.node.partition(topic, this.#below(topic.partitions));
    if (this.random() < 0.7) {
      log.cacheStartOffset = log.highWatermark;
      return;
    }
    const left = log.highWatermark - log.logStartOffset;
    // Most of the time a little; now and then all there is.
    const records = this.random() < 0.1 ? left : this.#below(Math.min(left, 6) + 1);
    log.truncate(log.logStartOffset + records);
  }

  #open(): ConsumerModel[] {
    return this.models.filter((model) => !model.isClosed);
  }

  #pickOpen(): ConsumerModel | undefined {
    const open = this.#open();
    return open.length === 0 ? undefined : this.#pick(open);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #below(end: number): number {
    return Math.floor(this.random() * end);
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function failure(seed: number, wide: boolean, error: unknown): Error {
  return new Error(`seed ${seed}${wide ? " (wide)" : ""}: ${(error as Error).message}`, { cause: error });
}

async function run(seed: number, wide: boolean): Promise<Run> {
  const it = new Run(seed, wide);
  for (let step = 0; step < it.steps; step += 1) await it.step();
  await it.finish();
  return it;
}

/** Every seventh seed has more members in a tail group than one turn serves. */
t.test("nothing is lost, repeated or out of order", async (t) => {
  let delivered = 0;
  let moves = 0;
  for (const seed of seeds) {
    const wide = seed % 7 === 0;
    try {
      const it = await run(seed, wide);
      delivered += it.delivered;
      moves += it.moves;
    } catch (error) {
      throw failure(seed, wide, error);
    }
  }
  t.ok(delivered > 0 && moves > 0, `${seeds.length} seeds, ${delivered} batches delivered, ${moves} moves`);
});

t.test("canary: a member that is passed over once in a while is noticed", async (t) => {
  const send = DeliveryPath.prototype.sendToMember;
  const random = seededRandom(1);
  DeliveryPath.prototype.sendToMember = function (stream, frame, firstOffset, nextOffset) {
    if (random() < 0.02) stream.nextOffset = nextOffset;
    else send.call(this, stream, frame, firstOffset, nextOffset);
  };
  t.teardown(() => {
    DeliveryPath.prototype.sendToMember = send;
  });
  let failed = 0;
  for (const seed of range(40)) await run(seed, false).catch(() => (failed += 1));
  t.ok(failed > 0, `${failed} of 40 seeds failed`);
});
