import { MillraceError } from "@millrace/protocol";
import t from "tap";
import type { SubscriptionConfig, SubscriptionStarts } from "../../src/subscription/subscription.ts";
import type { Topic } from "../../src/topic.ts";
import { forSeedsInTurn, givenSeed, type Seeded, seeded } from "../harness/seeded.ts";
import { SimulatedCatalogCluster } from "../harness/simulated-catalog-cluster.ts";
import type { CatalogFaults, SimulatedCatalogNode } from "../harness/simulated-catalog-node.ts";
import { Violation } from "../harness/simulated-catalog-shards.ts";

const SEEDS = 10;
const STEPS = 200;
const TOPIC = { retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;
const QUEUE: SubscriptionConfig = {
  mode: "queue",
  leaseMs: 1,
  maxDeliveries: 1,
  backoffMinMs: 1,
  backoffMaxMs: 1,
  paused: false,
};

interface ToldSubscription {
  readonly topic: Topic;
  readonly name: string;
  readonly subscriptionId: number;
}

/** Clients of a cluster, at any of its nodes, and what they were told. */
class Clients {
  readonly cluster: SimulatedCatalogCluster;
  readonly counts = { created: 0, deleted: 0, subscribed: 0, found: 0, used: 0, refused: 0, caughtUp: 0 };
  readonly #random: Seeded;
  /** That they exist: nobody has begun to delete them. */
  readonly #topics: Map<string, Topic> = new Map();
  readonly #subscriptions: Set<ToldSubscription> = new Set();
  #names = 0;
  underWay = 0;

  constructor(cluster: SimulatedCatalogCluster, random: Seeded) {
    this.cluster = cluster;
    this.#random = random;
  }

  /** Something that some client does. */
  step(): void {
    const node = this.#random.pick(this.cluster.nodes);
    const does = this.#random.pick([
      this.#create,
      this.#create,
      this.#delete,
      this.#alter,
      this.#subscribe,
      this.#unsubscribe,
      this.#look,
      this.#look,
      this.#use,
      this.#use,
      this.#lookForSubscription,
    ]);
    this.underWay += 1;
    Promise.race([does.call(this, node), node.died])
      .catch((error: unknown) => {
        if (error instanceof MillraceError) this.counts.refused += 1;
        else this.cluster.violation ??= error as Error;
      })
      .finally(() => {
        this.underWay -= 1;
      });
  }

  async #create(node: SimulatedCatalogNode): Promise<void> {
    this.#names += 1;
    const name = `topic-${this.#names}`;
    const topic = await node.admin.createTopic(name, { ...TOPIC, partitions: 1 + this.#random.below(6) });
    this.#topics.set(name, topic);
    this.counts.created += 1;
  }

  async #delete(node: SimulatedCatalogNode): Promise<void> {
    const topic = this.#topic();
    if (topic === undefined) return;
    this.#topics.delete(topic.name);
    for (const one of this.#subscriptions) if (one.topic === topic) this.#subscriptions.delete(one);
    await node.admin.deleteTopic(topic.name);
    this.counts.deleted += 1;
  }

  async #alter(node: SimulatedCatalogNode): Promise<void> {
    const topic = this.#topic();
    if (topic !== undefined)
      await node.admin.alterTopic(topic.name, { retentionMs: this.#random.below(1_000) });
  }

  async #subscribe(node: SimulatedCatalogNode): Promise<void> {
    const topic = this.#topic();
    if (topic === undefined) return;
    this.#names += 1;
    const name = `subscription-${this.#names}`;
    const starts: SubscriptionStarts = topic.shards.map((_, partition) => [partition, this.#names]);
    const { subscriptionId } = await node.admin.createSubscription(topic.topicId, name, QUEUE, starts);
    if (this.#topics.get(topic.name) !== topic) return;
    this.#subscriptions.add({ topic, name, subscriptionId });
    this.counts.subscribed += 1;
    this.#checkStarts(topic, subscriptionId, starts);
  }

  #checkStarts(topic: Topic, subscriptionId: number, starts: SubscriptionStarts): void {
    for (const shardId of new Set(topic.shards)) {
      const own = starts.filter(([partition]) => topic.shards[partition] === shardId);
      const found = this.cluster.shards.shard(shardId).subscriptions.get(subscriptionId)?.starts;
      if (JSON.stringify(found) === JSON.stringify(own)) continue;
      throw new Violation(`shard ${shardId} begins ${subscriptionId} at ${found}, not ${own}`);
    }
  }

  async #unsubscribe(node: SimulatedCatalogNode): Promise<void> {
    const one = this.#subscription();
    if (one === undefined) return;
    this.#subscriptions.delete(one);
    await node.admin.deleteSubscription(one.subscriptionId);
  }

  async #look(node: SimulatedCatalogNode): Promise<void> {
    const topic = this.#topic();
    if (topic === undefined) return;
    const isBehind = node.view.byName(topic.name) === undefined;
    const found = await node.findTopic(topic.name);
    this.counts.found += 1;
    if (isBehind) this.counts.caughtUp += 1;
    if (found === undefined && this.#topics.get(topic.name) === topic && !node.isDead) {
      throw new Violation(`node ${node.nodeId} does not know of topic ${topic.name}`);
    }
  }

  async #lookForSubscription(node: SimulatedCatalogNode): Promise<void> {
    const one = this.#subscription();
    if (one === undefined) return;
    const found = await node.findSubscription(one.topic.topicId, one.name);
    if (found === undefined && this.#subscriptions.has(one) && !node.isDead) {
      throw new Violation(`node ${node.nodeId} does not know of subscription ${one.name}`);
    }
  }

  /** What a node shows its clients they may use, whoever made it. */
  async #use(node: SimulatedCatalogNode): Promise<void> {
    const visible = [...node.view.topics()].filter((topic) => node.shows(topic));
    if (visible.length === 0) return;
    const topic = this.#random.pick(visible);
    const partition = this.#random.below(topic.partitions);
    const exists = (): boolean => this.cluster.shards.catalog.byId(topic.topicId) !== undefined;
    const touch = [`${topic.topicId}/${partition}`, exists];
    await this.cluster.ask(node, topic.shards[partition] as number, "touch", touch);
    this.counts.used += 1;
  }

  #topic(): Topic | undefined {
    return this.#topics.size === 0 ? undefined : this.#random.pick([...this.#topics.values()]);
  }

  #subscription(): ToldSubscription | undefined {
    return this.#subscriptions.size === 0 ? undefined : this.#random.pick([...this.#subscriptions]);
  }

  /** In the end: every node and every shard has what shard 0 has, and what clients were told is part of it. */
  checkEnd(): void {
    const { nodes, shards } = this.cluster;
    const { catalog } = shards;
    for (const { name, topicId } of this.#topics.values()) {
      if (catalog.byId(topicId)?.name !== name) throw new Violation(`topic ${name} is lost`);
    }
    const subscriptions = [...catalog.subscriptions.all()];
    for (const { subscriptionId } of this.#subscriptions) {
      if (subscriptions.some((one) => one.subscriptionId === subscriptionId)) continue;
      throw new Violation(`subscription ${subscriptionId} is lost`);
    }
    const half = subscriptions.filter(({ isOpening }) => isOpening === true);
    if (half.length > 0) throw new Violation(`${half.length} subscriptions were left half made`);
    const topics = sorted(catalog.topics());
    for (const node of nodes) {
      same(`topics of node ${node.nodeId}`, sorted([...node.view.topics()]), topics);
      same(
        `subscriptions of node ${node.nodeId}`,
        sorted([...node.view.subscriptions()]),
        sorted(subscriptions),
      );
      for (const { topicId, name } of catalog.topics()) {
        if (!node.view.isMade(topicId)) throw new Violation(`node ${node.nodeId} hides topic ${name}`);
        if (node.told.get(topicId) !== "created") throw new Violation(`a gateway was not told of ${name}`);
      }
    }
    for (const shard of shards.shards) {
      const wanted = catalog
        .topics()
        .flatMap(({ topicId, shards: at }) =>
          at.flatMap((s, p) => (s === shard.shardId ? [`${topicId}/${p}`] : [])),
        );
      same(`partitions of shard ${shard.shardId}`, [...shard.partitions].sort(), wanted.sort());
      const ids = subscriptions
        .filter(({ topicId }) => catalog.byId(topicId)?.shards.includes(shard.shardId))
        .map(({ subscriptionId }) => String(subscriptionId));
      same(
        `subscriptions of shard ${shard.shardId}`,
        [...shard.subscriptions.keys()].map(String).sort(),
        ids.sort(),
      );
    }
  }
}

function sorted(items: readonly object[]): string[] {
  return items.map((item) => JSON.stringify(Object.entries(item).sort())).sort();
}

function same(what: string, found: readonly string[], wanted: readonly string[]): void {
  const missing = wanted.filter((one) => !found.includes(one));
  const more = found.filter((one) => !wanted.includes(one));
  if (missing.length + more.length === 0) return;
  throw new Violation(`${what}: missing ${missing.slice(0, 3)}; too many ${more.slice(0, 3)}`);
}

async function life(random: Seeded, faults: CatalogFaults = {}): Promise<Clients> {
  const cluster = new SimulatedCatalogCluster(random, 3, 4, faults);
  const clients = new Clients(cluster, random);
  const fail = (): void => {
    if (cluster.violation !== undefined) throw cluster.violation;
  };
  if (!(await cluster.time.pass(60_000, () => cluster.isWhole))) throw new Error("it does not start");
  for (let step = 0; step < STEPS; step += 1) {
    clients.step();
    if (random.oneIn(12)) cluster.cutLink();
    if (random.oneIn(25)) cluster.move(random.below(4));
    if (random.oneIn(40)) cluster.move(0);
    if (random.oneIn(80)) cluster.kill(random.below(3));
    await cluster.time.pass(random.below(random.oneIn(8) ? 300 : 20));
    fail();
  }
  cluster.isHealed = true;
  if (!(await cluster.time.pass(120_000, () => cluster.isWhole && clients.underWay === 0))) {
    throw new Error(`it does not come to rest: under way=${clients.underWay}`);
  }
  await cluster.time.pass(10_000);
  fail();
  clients.checkEnd();
  return clients;
}

t.test("every node comes to have the catalog, whatever is lost on the way", async (t) => {
  const sums: Record<string, number> = {};
  await forSeedsInTurn(SEEDS, async (random) => {
    const clients = await life(random);
    for (const [name, count] of Object.entries({ ...clients.counts, ...clients.cluster.counts })) {
      sums[name] = (sums[name] ?? 0) + count;
    }
  });
  if (givenSeed() !== undefined) return;
  for (const [name, sum] of Object.entries(sums)) t.ok(sum > 0, `${name}: ${sum}`);
});

t.test("what is said to be done is done at every node that follows", async (t) => {
  const cluster = new SimulatedCatalogCluster(seeded(1), 3, 4);
  await cluster.time.pass(60_000, () => cluster.isWhole);
  await cluster.time.pass(1_000);
  let topic: Topic | undefined;
  void cluster
    .node(1)
    .admin.createTopic("everywhere", { ...TOPIC, partitions: 4 })
    .then((made) => {
      topic = made;
      for (const node of cluster.nodes) t.ok(node.view.made(node.view.byName("everywhere")));
      for (const [partition, shardId] of made.shards.entries()) {
        t.ok(cluster.shards.shard(shardId).partitions.has(`${made.topicId}/${partition}`));
      }
    });
  await cluster.time.pass(5_000, () => topic !== undefined);
  t.equal(topic?.name, "everywhere");
});

const CANARIES: [CatalogFaults, RegExp][] = [
  [{ skipsBarrier: true }, /dropped/],
  [{ skipsCatchUp: true }, /does not know/],
  [{ showsUnmade: true }, /has not open/],
];

for (const [faults, failure] of CANARIES) {
  const [name] = Object.keys(faults);
  t.test(`a node that ${name} is noticed`, async (t) => {
    let noticed = "";
    for (let seed = 1; seed < 60 && noticed === ""; seed += 1) {
      try {
        await life(seeded(seed), faults);
      } catch (error) {
        noticed = (error as Error).message;
      }
    }
    t.match(noticed, failure);
  });
}
