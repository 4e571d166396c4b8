import { LIMITS } from "@millrace/protocol";
import { unpack } from "msgpackr";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { CatalogState } from "../../src/shard/catalog-state.ts";
import { subscriptionKey } from "../../src/shard/subscription-catalog.ts";
import type { Subscription, SubscriptionConfig } from "../../src/subscription/subscription.ts";
import type { Topic } from "../../src/topic.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const DELETED = new Uint8Array(0);
const CONFIG: SubscriptionConfig = {
  mode: "queue",
  leaseMs: 30_000,
  maxDeliveries: 5,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  paused: false,
};

function createTopic(catalog: CatalogState, name: string, partitions = 2): Topic {
  const settings = { partitions, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;
  const topic = catalog.plan(name, settings, 5, 0);
  catalog.apply(name, catalog.encode(topic), 0);
  return topic;
}

function put(catalog: CatalogState, subscription: Subscription): Subscription {
  const value = catalog.subscriptions.encode(subscription);
  catalog.apply(subscriptionKey(subscription), value, subscription.catalogPosition);
  return subscription;
}

function create(catalog: CatalogState, topic: Topic, name: string, position = 0): Subscription {
  return put(catalog, catalog.subscriptions.plan(topic, name, CONFIG, 7, position));
}

function restored(catalog: CatalogState): CatalogState {
  const copy = new CatalogState(2);
  copy.restore(catalog.snapshot());
  return copy;
}

/** All that there is to know of it. */
function contentOf(catalog: CatalogState): unknown {
  const subscriptions = [...catalog.subscriptions.all()].sort(
    (left, right) => left.subscriptionId - right.subscriptionId,
  );
  const topics = catalog.topics().sort((left, right) => left.topicId - right.topicId);
  return { topics, subscriptions, nextId: catalog.subscriptions.nextId };
}

t.test("the record is a plain MessagePack map under a key that no topic can have", async (t) => {
  const catalog = new CatalogState(2);
  const topic = createTopic(catalog, "orders");
  const work = create(catalog, topic, "work/er", 9);
  t.equal(subscriptionKey(work), "$sub/1/work/er");
  t.same(unpack(catalog.subscriptions.encode(work)), {
    subscriptionId: 1,
    ...CONFIG,
    createdMs: 7,
    snapshots: [],
    isOpening: true,
  });
  const made = catalog.subscriptions.planChange(1, {}, 10);
  t.same(unpack(catalog.subscriptions.encode(made)), {
    subscriptionId: 1,
    ...CONFIG,
    createdMs: 7,
    snapshots: [],
  });
  t.same(catalog.subscriptions.get(1), work);
  t.same([...catalog.subscriptions.ofTopic(topic.topicId)], [work]);
  t.throws(() => create(catalog, topic, "work/er"), { code: "SUBSCRIPTION_EXISTS" });
  t.throws(() => catalog.subscriptions.get(2), { code: "UNKNOWN_SUBSCRIPTION" });
});

t.test("what a change leaves out stays", async (t) => {
  const catalog = new CatalogState(2);
  const topic = createTopic(catalog, "orders");
  create(catalog, topic, "work");
  const changed = put(
    catalog,
    catalog.subscriptions.planChange(1, { paused: true, leaseMs: 1_000, snapshots: ["a"] }, 4),
  );
  t.match(changed, { ...CONFIG, paused: true, leaseMs: 1_000, snapshots: ["a"], catalogPosition: 4 });
  t.match(restored(catalog).subscriptions.get(1), changed);
  const snapshots = Array.from({ length: LIMITS.snapshotsMax + 1 }, (_, i) => `s${i}`);
  t.throws(() => catalog.subscriptions.planChange(1, { snapshots }, 5), { code: "TOO_MANY_SUBSCRIPTIONS" });
});

t.test("subscriptions go with their topic, and ids are not given out again", async (t) => {
  const catalog = new CatalogState(2);
  const topic = createTopic(catalog, "orders");
  create(catalog, topic, "a");
  create(catalog, topic, "b");
  catalog.apply("orders", catalog.encode({ ...topic, retentionMs: 5 }), 8);
  t.equal(catalog.subscriptions.size, 2, "altering the topic does nothing to them");
  catalog.apply("orders", DELETED, 9);
  t.equal(catalog.subscriptions.size, 0);
  catalog.apply(
    "$sub/1/c",
    catalog.subscriptions.encode({ ...create(catalog, createTopic(catalog, "x"), "d") }),
    10,
  );
  t.equal(catalog.subscriptions.size, 1, "a record of a topic that is gone says nothing");
  const copy = restored(catalog);
  t.same(contentOf(copy), contentOf(catalog));
  t.equal(create(copy, createTopic(copy, "orders"), "a").subscriptionId, 4);
});

t.test("there is an end to them", async (t) => {
  const catalog = new CatalogState(2);
  const wide = createTopic(catalog, "wide", LIMITS.partitionsMax);
  const max = BROKER_LIMITS.subscriptionPartitionsTotalMax / LIMITS.partitionsMax;
  for (let i = 0; i < max; i += 1) create(catalog, wide, `s${i}`);
  t.throws(() => create(catalog, wide, "more"), { code: "TOO_MANY_SUBSCRIPTIONS" });
  catalog.apply("$sub/1/s0", DELETED, 1);
  create(catalog, wide, "more");
  catalog.apply("wide", DELETED, 2);
  create(catalog, createTopic(catalog, "narrow"), "any");
});

t.test("an image of version 1 is restored, and what was there before it is not doubled", async (t) => {
  const catalog = new CatalogState(2);
  const topic = createTopic(catalog, "orders");
  const old = new CatalogState(2);
  old.restore({ nextTopicId: 12, topics: [topic] });
  t.same(old.topics(), [topic]);
  t.equal(createTopic(old, "next").topicId, 12);
  t.same(contentOf(restored(old)), contentOf(old));
});

t.test("a topic for dead letters takes its source's place and a name that is free", async (t) => {
  const catalog = new CatalogState(3);
  const source = createTopic(catalog, "jobs", 3);
  createTopic(catalog, "jobs.dlq");
  const letters = catalog.planDeadLetters(source.topicId, 9, 4);
  catalog.apply(letters.name, catalog.encode(letters), 4);
  t.match(letters, {
    name: "jobs.dlq-2",
    shards: source.shards,
    retentionMs: 0,
    deadLetterOf: source.topicId,
  });
  t.same(restored(catalog).deadLetterTopicOf(source.topicId), letters);
  const long = createTopic(catalog, "x".repeat(LIMITS.topicNameBytesMax));
  t.equal(catalog.planDeadLetters(long.topicId, 9, 5).name.length, LIMITS.topicNameBytesMax);
  catalog.apply(letters.name, DELETED, 6);
  t.equal(catalog.deadLetterTopicOf(source.topicId), undefined);
  t.throws(() => catalog.planDeadLetters(99, 9, 5), { code: "UNKNOWN_TOPIC" });
});

t.test("fuzz: an image has what its records say", async () => {
  forSeeds(30, (random: Seeded) => {
    const catalog = new CatalogState(2);
    let position = 0;
    for (let step = 0; step < 400; step += 1) {
      const topics = catalog.topics();
      const topic = topics.length === 0 ? undefined : random.pick(topics);
      const subscriptions = [...catalog.subscriptions.all()];
      position += 1;
      if (topic === undefined || random.oneIn(20)) createTopic(catalog, `t${position}`);
      else if (random.oneIn(30)) catalog.apply(topic.name, DELETED, position);
      else if (subscriptions.length === 0 || random.oneIn(3))
        create(catalog, topic, `s${position}`, position);
      else {
        const { subscriptionId } = random.pick(subscriptions);
        const leaseMs = random.below(1_000_000);
        if (random.oneIn(4)) {
          catalog.apply(subscriptionKey(catalog.subscriptions.get(subscriptionId)), DELETED, position);
        } else put(catalog, catalog.subscriptions.planChange(subscriptionId, { leaseMs }, position));
      }
      if (!random.oneIn(40)) continue;
      const expected = JSON.stringify(contentOf(catalog));
      const found = JSON.stringify(contentOf(restored(catalog)));
      if (found !== expected) throw new Error(`step ${step}: ${found} is not ${expected}`);
    }
  });
});
