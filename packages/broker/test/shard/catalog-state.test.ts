import { unpack } from "msgpackr";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { CatalogState } from "../../src/shard/catalog-state.ts";
import type { Topic, TopicConfig } from "../../src/topic.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const DELETED = new Uint8Array(0);

function config(partitions: number): TopicConfig {
  return { partitions, retentionMs: 1000, retentionBytes: 0, durability: "fsynced" };
}

function create(catalog: CatalogState, name: string, partitions: number, position = 0): Topic {
  const topic = catalog.plan(name, config(partitions), 5, position);
  catalog.apply(name, catalog.encode(topic), position);
  return topic;
}

t.test("a planned topic is not there before it is applied", async (t) => {
  const catalog = new CatalogState(2);
  const topic = catalog.plan("flights", config(3), 77, 12);
  t.equal(catalog.get("flights"), undefined);
  catalog.apply("flights", catalog.encode(topic), 12);
  t.same(catalog.get("flights"), topic);
  t.same(topic, {
    name: "flights",
    topicId: 1,
    partitions: 3,
    retentionMs: 1000,
    retentionBytes: 0,
    durability: "fsynced",
    createdMs: 77,
    catalogPosition: 12,
    shards: topic.shards,
  });
});

t.test("the record is a plain MessagePack map", async (t) => {
  const catalog = new CatalogState(2);
  const value = unpack(catalog.encode(catalog.plan("a", config(1), 9, 0))) as Record<string, unknown>;
  t.same(Object.keys(value).sort(), [
    "createdMs",
    "durability",
    "partitions",
    "retentionBytes",
    "retentionMs",
    "shards",
    "topicId",
  ]);
});

t.test("partitions go to the shards that hold the fewest", async (t) => {
  const catalog = new CatalogState(3);
  t.same(create(catalog, "a", 4).shards, [0, 1, 2, 0]);
  t.same(create(catalog, "b", 3).shards, [1, 2, 0]);
  catalog.apply("a", DELETED, 2);
  t.same(create(catalog, "c", 3).shards, [0, 1, 2], "what a deleted topic held counts no more");
});

t.test("placement stays balanced whatever is created and deleted in turn", async (t) => {
  const catalog = new CatalogState(7);
  for (let i = 0; i < 100; i += 1) create(catalog, `t${i}`, 1 + (i % 5));
  const load = new Array(7).fill(0);
  for (const topic of catalog.topics()) for (const shard of topic.shards) load[shard] += 1;
  t.ok(Math.max(...load) - Math.min(...load) <= 1, `${load}`);
});

t.test("a name is taken until its topic is deleted", async (t) => {
  const catalog = new CatalogState(1);
  create(catalog, "a", 1);
  t.throws(() => catalog.plan("a", config(1), 0, 1), { code: "TOPIC_EXISTS" });
  catalog.apply("a", DELETED, 1);
  t.equal(create(catalog, "a", 1).topicId, 2);
});

t.test("topics and partitions are bounded", async (t) => {
  const catalog = new CatalogState(64);
  const topics = BROKER_LIMITS.partitionsTotalMax / 1024;
  for (let i = 0; i < topics; i += 1) create(catalog, `t${i}`, 1024);
  t.throws(() => catalog.plan("more", config(1), 0, 0), { code: "TOO_MANY_TOPICS" });
  catalog.apply("t0", DELETED, 0);
  t.doesNotThrow(() => catalog.plan("more", config(1024), 0, 0));

  const many = new CatalogState(1);
  for (let i = 0; i < BROKER_LIMITS.topicsMax; i += 1) create(many, `t${i}`, 1);
  t.throws(() => many.plan("more", config(1), 0, 0), { code: "TOO_MANY_TOPICS" });
});

t.test(
  "an id is not given again, also when the checkpoint no longer has the topic that had it",
  async (t) => {
    const catalog = new CatalogState(2);
    create(catalog, "a", 1);
    create(catalog, "b", 1);
    catalog.apply("b", DELETED, 2);
    const restored = new CatalogState(2);
    restored.restore(catalog.snapshot());
    t.equal(create(restored, "c", 1).topicId, 3);
  },
);

/** Random creates and deletes; now and then the catalog is rebuilt, from the log or from a snapshot and the rest. */
function fuzz(random: Seeded): void {
  const shards = 1 + random.below(5);
  let catalog = new CatalogState(shards);
  const log: [name: string, value: Uint8Array][] = [];
  const model = new Map<string, Topic>();
  const ids = new Set<number>();
  let snapshot = { image: catalog.snapshot(), length: 0 };
  for (let step = 0; step < 120; step += 1) {
    const name = `t${random.below(12)}`;
    const known = model.has(name);
    if (known) {
      catalog.apply(name, DELETED, log.length);
      log.push([name, DELETED]);
      model.delete(name);
    } else {
      const topic = catalog.plan(name, config(1 + random.below(6)), step, log.length);
      if (ids.has(topic.topicId)) throw new Error(`id given twice: ${topic.topicId}`);
      ids.add(topic.topicId);
      const value = catalog.encode(topic);
      catalog.apply(name, value, log.length);
      log.push([name, value]);
      model.set(name, topic);
    }
    if (random.oneIn(10)) snapshot = { image: structuredClone(catalog.snapshot()), length: log.length };
    if (random.oneIn(10)) {
      catalog = new CatalogState(shards);
      const from = random.oneIn(2) ? 0 : snapshot.length;
      if (from > 0) catalog.restore(snapshot.image);
      log.slice(from).forEach(([key, value], i) => {
        catalog.apply(key, value, from + i);
      });
    }
    const topics = [...catalog.topics()].sort((a, b) => a.topicId - b.topicId);
    const expected = [...model.values()].sort((a, b) => a.topicId - b.topicId);
    if (JSON.stringify(sortedKeys(topics)) !== JSON.stringify(sortedKeys(expected))) {
      throw new Error(`step ${step}: ${JSON.stringify(topics)} instead of ${JSON.stringify(expected)}`);
    }
  }
}

function sortedKeys(topics: readonly Topic[]): unknown[] {
  return topics.map((topic) => Object.entries(topic).sort(([a], [b]) => (a < b ? -1 : 1)));
}

t.test("replay gives what was there, and ids go on from there", async (t) => {
  forSeeds(60, fuzz);
  t.pass("60 seeds");
});
