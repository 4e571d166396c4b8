import type { Topic } from "@millrace/broker/internal";
import { SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import { QueueConsumer } from "../src/queue-consumer.ts";
import { seededRandom } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import { InMemoryGateway } from "./support/in-memory.ts";
import { type ModelConsumer, QueueModel } from "./support/queue-model.ts";

// Random schedules of shards, rings, sockets and clients, against clients that count their slots. Afterwards all that stands
// in the way is taken away, and every record must have been done. SEED=n runs one seed, SEEDS=n so many.

const seeds =
  process.env.SEED === undefined ? range(Number(process.env.SEEDS ?? 150)) : [Number(process.env.SEED)];

const SHARDS = 4;
const STEPS = 700;
const SMALL = "x".repeat(10);
const BIG = "y".repeat(5_000);
const ACTIONS: readonly number[] = [
  SETTLE_ACTION.ACK,
  SETTLE_ACTION.ACK,
  SETTLE_ACTION.ACK,
  SETTLE_ACTION.NACK,
  SETTLE_ACTION.RELEASE,
  SETTLE_ACTION.EXTEND,
];

class Run {
  readonly random: () => number;
  readonly node: FakeNode;
  readonly net: InMemoryGateway;
  readonly topics: readonly Topic[];
  models: QueueModel[] = [];
  leased = 0;
  readonly #down: Set<number> = new Set();
  readonly #offsets: Map<string, number> = new Map();

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.node = new FakeNode({ shards: SHARDS, random: this.random });
    this.net = new InMemoryGateway({ node: this.node });
    this.topics = [this.node.addTopic("a", { partitions: 16 }), this.node.addTopic("b", { partitions: 2 })];
    for (let client = 0; client < 2; client += 1) this.#connect();
  }

  async step(): Promise<void> {
    const roll = this.random();
    if (roll < 0.16) this.#put();
    else if (roll < 0.36) this.node.work(this.#below(SHARDS), 1 + this.#below(3));
    else if (roll < 0.56) this.node.answer(this.#below(SHARDS), 1 + this.#below(4));
    else if (roll < 0.64) this.net.clock.turn();
    else if (roll < 0.84) this.#settle();
    else if (roll < 0.87) this.#consume();
    else if (roll < 0.9) this.#credit();
    else if (roll < 0.93) this.#stall();
    else if (roll < 0.935) this.#stop();
    else if (roll < 0.94) this.#connect();
    else if (roll < 0.943) this.#disconnect();
    else if (roll < 0.955) this.#ring();
    else if (roll < 0.965) this.#killOrRevive();
    else if (roll < 0.97) this.node.queues.expire(this.#below(SHARDS));
    else if (roll < 0.975) this.#pause();
    else if (roll < 0.98) this.net.clock.advance(1_000);
    else await tick();
    this.#check();
  }

  /** Takes all obstacles away, lets clients do everything, and checks that nothing is left. */
  async finish(): Promise<void> {
    for (const shardId of [...this.#down]) this.#revive(shardId);
    for (const [shardId, shard] of this.node.shards.entries()) {
      shard.consumerRecordsMax = Number.POSITIVE_INFINITY;
      shard.waiting = false;
      this.net.gateway.node.onSpace(shardId);
    }
    for (const { subscriptionId } of this.node.subscriptions()) {
      for (let shardId = 0; shardId < SHARDS; shardId += 1) {
        this.node.queues.pause(shardId, subscriptionId, false);
      }
    }
    await this.net.settle();
    // Somebody is there for every subscription.
    const model = this.#connect();
    for (const { name, topicId } of this.node.subscriptions()) {
      model.consume(this.node.topicById(topicId)?.name as string, name, 3);
    }
    for (let round = 0; round < 600; round += 1) {
      for (const each of this.#open()) {
        each.client.socket.stalled = false;
        each.client.socket.drain();
        for (const consumer of consuming(each)) {
          if (consumer.slots === 0) each.credit(consumer, 1, 100_000);
          for (const lease of consumer.leases) each.settle(consumer, lease, SETTLE_ACTION.ACK);
        }
      }
      await this.net.settle();
      this.#check();
      if (this.#left() === 0) break;
    }
    if (this.#left() > 0) throw new Error(`${this.#left()} records were never done`);
    await this.net.settle();
    for (const each of this.#open()) {
      for (const consumer of each.consumers.values()) {
        this.leased += consumer.leased;
        if (consumer.settles.size > 0) throw new Error(`${consumer.settles.size} settles were not answered`);
        if (consumer.state === "stopping") throw new Error("a consumer did not stop");
      }
    }
    const errors = this.models.flatMap(({ errors }) => errors);
    if (errors.length > 0) throw new Error(`errors: ${errors.join(", ")}`);
  }

  /** What is lent and what is held is no more than the slots. */
  #check(): void {
    for (const model of this.#open()) {
      for (const consumer of model.consumers.values()) {
        let lent = 0;
        for (let shardId = 0; shardId < SHARDS; shardId += 1) {
          lent += this.node.queues.credit(shardId, consumer.consumerId).messages;
        }
        const { slotsMost, unsettled } = consumer;
        if (lent + unsettled > slotsMost && consumer.state === "consuming") {
          throw new Error(`${lent} lent and ${unsettled} unsettled, with ${slotsMost} slots`);
        }
      }
    }
  }

  #left(): number {
    let left = 0;
    for (const { subscriptionId } of this.node.subscriptions()) {
      for (let shardId = 0; shardId < SHARDS; shardId += 1) {
        left += this.node.queues.records(shardId, subscriptionId).filter(({ done }) => !done).length;
      }
    }
    return left;
  }

  #put(): void {
    const subscription = this.#pick([...this.node.subscriptions()]);
    if (subscription === undefined) return;
    const { subscriptionId, topicId } = subscription;
    const topic = this.node.topicById(topicId) as Topic;
    const partition = this.#below(topic.partitions);
    const key = `${subscriptionId}/${partition}`;
    const offset = this.#offsets.get(key) ?? 0;
    const values = range(1 + this.#below(8)).map(() => (this.random() < 0.2 ? BIG : SMALL));
    this.#offsets.set(key, offset + values.length);
    const shardId = topic.shards[partition] as number;
    this.node.queues.put(shardId, subscriptionId, { topicId, partition, offset }, ...values);
  }

  #consume(): void {
    const model = this.#pick(this.#open());
    if (model === undefined || model.consumers.size > 4) return;
    const topic = this.random() < 0.6 ? "a" : "b";
    const slots = this.random() < 0.5 ? 1 : 1 + this.#below(100);
    const creditLimit = this.random() < 0.3 ? 2_000 : 1_000_000;
    model.consume(topic, this.random() < 0.6 ? "s" : "t", slots, creditLimit);
  }

  #settle(): void {
    const [model, consumer] = this.#pickConsumer();
    const lease = this.#pick([...(consumer?.leases ?? [])]);
    if (model === undefined || consumer === undefined || lease === undefined) return;
    model.settle(consumer, lease, this.#pick(ACTIONS) as number, 1 + this.#below(32));
  }

  #credit(): void {
    const [model, consumer] = this.#pickConsumer();
    if (model === undefined || consumer === undefined) return;
    const creditLimit = this.random() < 0.3 ? this.#below(4_000) : 1_000_000;
    model.credit(consumer, this.random() < 0.2 ? 0 : 1 + this.#below(60), Math.max(creditLimit, 1));
  }

  #stop(): void {
    const [model, consumer] = this.#pickConsumer();
    if (model !== undefined && consumer !== undefined) model.stop(consumer);
  }

  #stall(): void {
    const socket = this.#pick(this.#open())?.client.socket;
    if (socket === undefined) return;
    if (!socket.stalled) socket.stalled = true;
    else {
      socket.stalled = this.random() < 0.5;
      socket.drain();
    }
  }

  #ring(): void {
    const shard = this.node.shards[this.#below(SHARDS)];
    if (shard === undefined) return;
    shard.consumerRecordsMax = this.random() < 0.6 ? 1 + this.#below(3) : Number.POSITIVE_INFINITY;
  }

  #pause(): void {
    const subscription = this.#pick([...this.node.subscriptions()]);
    if (subscription === undefined) return;
    const shardId = this.#below(SHARDS);
    if (this.#down.has(shardId)) return;
    this.node.queues.pause(shardId, subscription.subscriptionId, this.random() < 0.4);
  }

  #killOrRevive(): void {
    const shardId = this.#below(SHARDS);
    if (this.#down.has(shardId)) {
      this.#revive(shardId);
      return;
    }
    this.#down.add(shardId);
    for (const model of this.models) model.lost(shardId);
    this.node.kill(shardId);
  }

  #revive(shardId: number): void {
    this.#down.delete(shardId);
    this.node.revive(shardId);
    for (const { subscriptionId } of this.node.subscriptions()) {
      this.node.queues.pause(shardId, subscriptionId, false);
    }
  }

  #connect(): QueueModel {
    const model = new QueueModel(
      this.net.connect(),
      (topicId, partition) => this.node.topicById(topicId)?.shards[partition] as number,
    );
    this.models.push(model);
    return model;
  }

  #disconnect(): void {
    const model = this.#pick(this.#open());
    for (const consumer of model?.consumers.values() ?? []) this.leased += consumer.leased;
    model?.client.socket.close();
  }

  #open(): QueueModel[] {
    return this.models.filter((model) => !model.isClosed);
  }

  #pickConsumer(): [QueueModel | undefined, ModelConsumer | undefined] {
    const model = this.#pick(this.#open());
    return [model, model === undefined ? undefined : this.#pick(consuming(model))];
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#below(items.length)];
  }

  #below(end: number): number {
    return Math.floor(this.random() * end);
  }
}

function consuming(model: QueueModel): ModelConsumer[] {
  return [...model.consumers.values()].filter(({ state }) => state === "consuming");
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function run(seed: number): Promise<Run> {
  const it = new Run(seed);
  for (let step = 0; step < STEPS; step += 1) await it.step();
  await it.finish();
  return it;
}

t.test("slots are never exceeded, nothing is lost, and nobody starves", async (t) => {
  let leased = 0;
  for (const seed of seeds) {
    try {
      leased += (await run(seed)).leased;
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  t.ok(leased > 0, `${seeds.length} seeds, ${leased} records leased`);
});

t.test("canary: a message that is lent without being counted once in a while is noticed", async (t) => {
  const { lent } = QueueConsumer.prototype;
  const random = seededRandom(1);
  QueueConsumer.prototype.lent = function (stake, messages, bytes) {
    lent.call(this, stake, messages > 0 && random() < 0.05 ? messages - 1 : messages, bytes);
  };
  t.teardown(() => {
    QueueConsumer.prototype.lent = lent;
  });
  let failed = 0;
  for (const seed of range(20)) await run(seed).catch(() => (failed += 1));
  t.ok(failed > 0, `${failed} of 20 seeds failed`);
});
