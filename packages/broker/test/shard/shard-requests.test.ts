import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, type TopicConfig } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { openingOf, type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const CONFIG: TopicConfig = { partitions: 2, retentionMs: 5000, retentionBytes: 0, durability: "written" };

function catalogRig(): ShardRig {
  return ShardRig.started([], { shardId: 0, shardCount: 3 });
}

function restart(rig: ShardRig, partitions: readonly RigPartition[] = []): void {
  rig.crash("power");
  rig.open();
  rig.reconcile(partitions);
}

/** [logStartOffset, highWatermark, logEpoch] of each. */
function bounds(rig: ShardRig, topicId: number, partitions: readonly number[]): number[][] {
  return rig.answer("bounds", [topicId, partitions]).map((row) => row.slice(0, 3) as number[]);
}

t.test("a created topic is answered once it is durable, and is there after a crash", async (t) => {
  const rig = catalogRig();
  rig.gateway.ask("createTopic", ["flights", CONFIG]);
  rig.cycle();
  t.same(rig.gateway.events, [], "not synced yet");
  rig.settle();
  const [reply] = rig.gateway.take("reply");
  const topic = {
    ...CONFIG,
    name: "flights",
    topicId: 1,
    createdMs: rig.clock.wallMs(),
    catalogPosition: 0,
    shards: [0, 1],
  };
  t.same(reply?.value, topic);
  t.same(rig.answer("catalog", [0]), [topic]);
  restart(rig);
  t.same(rig.answer("catalog", [0]), [topic]);
});

t.test(
  "a topic that was not answered may be there or not, but its id is not given twice while it is",
  async (t) => {
    const rig = catalogRig();
    rig.answer("createTopic", ["a", CONFIG]);
    rig.gateway.ask("createTopic", ["b", CONFIG]);
    rig.cycle();
    restart(rig);
    const known = rig.answer("catalog", [0]) as { name: string; topicId: number }[];
    t.equal(known[0]?.name, "a");
    const created = rig.answer("createTopic", ["c", CONFIG]);
    t.notOk(known.some(({ topicId }) => topicId === created.topicId));
  },
);

t.test("the catalog's position is answered once it is sure that nobody else has written it", async (t) => {
  const rig = catalogRig();
  t.equal(rig.answer("catalogPosition", []), -1);
  rig.answer("createTopic", ["a", CONFIG]);
  rig.gateway.ask("createTopic", ["b", CONFIG]);
  rig.gateway.ask("catalogPosition", []);
  rig.settle();
  t.same(
    rig.gateway.take("reply").map(({ value }) => (typeof value === "number" ? value : "topic")),
    ["topic", 1],
    "behind what was written before",
  );
  rig.gateway.ask("catalogPosition", []);
  rig.cycle();
  t.same(rig.gateway.events, [], "nothing was written, but there was no look at the fence yet");
  rig.settle();
  t.match(rig.gateway.take("reply"), [{ value: 1 }]);
  restart(rig);
  t.equal(rig.answer("catalogPosition", []), 1);
});

t.test("names are taken until they are deleted, ids for ever", async (t) => {
  const rig = catalogRig();
  rig.answer("createTopic", ["a", CONFIG]);
  t.throws(() => rig.answer("createTopic", ["a", CONFIG]), { message: "TOPIC_EXISTS" });
  t.match(rig.answer("deleteTopic", ["a"]), { topic: { name: "a", topicId: 1 }, catalogPosition: 1 });
  t.throws(() => rig.answer("deleteTopic", ["a"]), { message: "UNKNOWN_TOPIC" });
  restart(rig);
  t.same(rig.answer("catalog", [0]), []);
  t.match(rig.answer("createTopic", ["a", CONFIG]), { topicId: 2, catalogPosition: 2 });
  rig.shard.checkpoint(false);
  rig.answer("deleteTopic", ["a"]);
  rig.shard.checkpoint(false);
  rig.settle();
  restart(rig);
  t.match(rig.answer("createTopic", ["b", CONFIG]), { topicId: 3, catalogPosition: 4 });
});

t.test("the catalog comes back from a checkpoint and the records behind it", async (t) => {
  const rig = catalogRig();
  for (const name of ["a", "b", "c"]) rig.answer("createTopic", [name, CONFIG]);
  rig.shard.checkpoint(false);
  rig.settle();
  rig.answer("deleteTopic", ["b"]);
  rig.answer("createTopic", ["d", { ...CONFIG, partitions: 1024 }]);
  const before = rig.answer("catalog", [0]);
  restart(rig);
  t.ok(rig.journal.recovery.checkpointPosition > 0);
  t.same(rig.answer("catalog", [0]), before);
});

t.test("a catalog that no answer could hold comes in parts", async (t) => {
  const rig = ShardRig.started([], {
    shardId: 0,
    shardCount: 1024,
    inboundBytes: 1 << 20,
    outboundBytes: 1 << 22,
    segmentSizeBytes: 1 << 23,
  });
  const names = Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(249, "x"));
  for (const name of names) rig.answer("createTopic", [name, { ...CONFIG, partitions: 32 }]);
  const found: string[] = [];
  let parts = 0;
  for (let page = rig.answer("catalog", [0]); page.length > 0; page = rig.answer("catalog", [found.length])) {
    found.push(...page.map(({ name }) => name));
    parts += 1;
  }
  t.same(found, names);
  t.ok(parts > 1, `${parts} parts`);
});

t.test("other shards do not hold the catalog", async (t) => {
  const rig = ShardRig.started([], { shardId: 1 });
  t.throws(() => rig.answer("createTopic", ["a", CONFIG]), { message: "INTERNAL" });
});

t.test("bounds and status tell what the shard has", async (t) => {
  const rig = ShardRig.started([
    [5, 0, DURABILITY_FSYNCED],
    [5, 3, DURABILITY_FSYNCED],
  ]);
  rig.gateway.publish({ topicId: 5, partition: 3, producerId: 4, count: 2, stored: batchOf(["a", "b"]) });
  rig.settle();
  t.same(bounds(rig, 5, [3, 0]), [
    [0, 2, 0],
    [0, 0, 0],
  ]);
  t.throws(() => rig.answer("bounds", [5, [0, 1]]), { message: "UNKNOWN_PARTITION" });
  t.throws(() => rig.answer("time", [6, 0, 0]), { message: "UNKNOWN_PARTITION" });
  const status = rig.answer("status", []);
  t.match(status, { shardId: 1, epoch: 1, partitions: 2, producers: 1 });
  t.equal(status.committedPosition, status.stagedPosition);
});

t.test("reconciliation finishes half-done creates and deletes", async (t) => {
  const rig = ShardRig.started([
    [5, 0, DURABILITY_FSYNCED],
    [5, 1, DURABILITY_FSYNCED],
    [6, 0, DURABILITY_FSYNCED],
  ]);
  for (const [topicId, partition] of [
    [5, 0],
    [5, 1],
    [6, 0],
  ] as const) {
    rig.gateway.publish({ topicId, partition, producerId: 4, count: 1, stored: batchOf(["a"]) });
  }
  rig.settle();
  // Topic 5 was deleted and topic 7 made, and the shard was told of neither before it died.
  restart(rig, [
    [6, 0, DURABILITY_FSYNCED],
    [7, 2, DURABILITY_MEMORY],
  ]);
  t.same(
    [...rig.shard.state.partitions.values()].map((p) => [p.topicId, p.partition, p.durability, p.nextOffset]),
    [
      [6, 0, DURABILITY_FSYNCED, 1],
      [7, 2, DURABILITY_MEMORY, 0],
    ],
  );
  t.equal(rig.shard.state.producers.count, 1);
  t.equal(rig.journal.index.firstOffset(5, 0), undefined);
  t.equal(rig.journal.index.firstOffset(6, 0), 0);
  rig.gateway.events.splice(0);
  rig.gateway.publish({ topicId: 5, count: 1, stored: batchOf(["b"]) });
  rig.gateway.read(40, 5, 0);
  rig.settle();
  t.match(rig.gateway.events, [{ error: "UNKNOWN_PARTITION" }, { error: "UNKNOWN_PARTITION" }]);
});

t.test("a topic of the same name does not see the records of its predecessor", async (t) => {
  const rig = catalogRig();
  const config = { ...CONFIG, partitions: 1, durability: "fsynced" as const };
  const first = rig.answer("createTopic", ["a", config]);
  rig.answer("open", [[openingOf([first.topicId, 0, DURABILITY_FSYNCED])]]);
  rig.gateway.publish({ topicId: first.topicId, count: 1, stored: batchOf(["old"]) });
  rig.settle();
  rig.answer("deleteTopic", ["a"]);
  rig.answer("close", [first.topicId]);
  const second = rig.answer("createTopic", ["a", config]);
  rig.answer("open", [[openingOf([second.topicId, 0, DURABILITY_FSYNCED])]]);
  t.same(bounds(rig, second.topicId, [0]), [[0, 0, 0]]);
  t.throws(() => rig.answer("bounds", [first.topicId, [0]]), { message: "UNKNOWN_PARTITION" });
  restart(rig, [[second.topicId, 0, DURABILITY_FSYNCED]]);
  t.same(bounds(rig, second.topicId, [0]), [[0, 0, 0]]);
});

t.test("an altered topic keeps what was not mentioned, and what makes it the same topic", async (t) => {
  const rig = catalogRig();
  const created = rig.answer("createTopic", ["a", CONFIG]);
  rig.gateway.ask("alterTopic", ["a", { retentionMs: 0, durability: "fsynced" }]);
  rig.cycle();
  t.same(rig.gateway.events, [], "not synced yet");
  rig.settle();
  const altered = { ...created, retentionMs: 0, durability: "fsynced" as const, catalogPosition: 1 };
  t.match(rig.gateway.take("reply"), [{ value: altered }]);
  t.same(rig.answer("alterTopic", ["a", { retentionBytes: 9 }]), {
    ...altered,
    retentionBytes: 9,
    catalogPosition: 2,
  });
  t.throws(() => rig.answer("alterTopic", ["b", {}]), { message: "UNKNOWN_TOPIC" });
  restart(rig);
  t.same(rig.answer("catalog", [0]), [{ ...altered, retentionBytes: 9, catalogPosition: 2 }]);
  t.match(rig.answer("createTopic", ["b", CONFIG]), { topicId: 2 });
});

t.test("partitions have the settings of their topic, from whichever request", async (t) => {
  const rig = ShardRig.started([[5, 0, DURABILITY_FSYNCED, 1000, 64]]);
  const settings = (partition: number): unknown => rig.shard.state.find(5, partition);
  t.match(settings(0), { retentionMs: 1000, retentionBytes: 64, durability: DURABILITY_FSYNCED });
  rig.answer("open", [[[5, 1, DURABILITY_MEMORY, 7, 8]]]);
  t.match(settings(1), { retentionMs: 7, retentionBytes: 8, durability: DURABILITY_MEMORY });
  const changed = [
    [5, 0, DURABILITY_MEMORY, 0, 0],
    [5, 1, DURABILITY_FSYNCED, 9, 0],
    [6, 0, DURABILITY_FSYNCED, 9, 0],
  ] as const;
  t.equal(rig.answer("configure", [changed]), 2, "those that it has");
  t.match(settings(0), { retentionMs: 0, retentionBytes: 0, durability: DURABILITY_MEMORY });
  t.match(settings(1), { retentionMs: 9, retentionBytes: 0, durability: DURABILITY_FSYNCED });
  t.equal(rig.shard.state.find(6, 0), undefined);
});
