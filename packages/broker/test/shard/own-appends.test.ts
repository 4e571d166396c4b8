import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { sharedStreamIdOf } from "../harness/recording-gateway.ts";
import { ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const TOPIC = 5;
const STREAM = 40;

function rigOf(durability: number = DURABILITY_FSYNCED, options?: ShardRigOptions): ShardRig {
  return ShardRig.started([[TOPIC, 0, durability]], options);
}

function publish(rig: ShardRig, value: string): void {
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf([value]) });
}

function append(rig: ShardRig, ...values: string[]): number {
  const partition = rig.shard.state.find(TOPIC, 0);
  if (partition === undefined) throw new Error("no such partition");
  return rig.shard.ownAppends.append(partition, values.length, batchOf(values));
}

/** Reads as a gateway does until the stream is at the tail. @returns the values, from `offset` on */
function readOn(rig: ShardRig, offset: number): { values: string[]; next: number } {
  const values: string[] = [];
  let next = offset;
  for (let reads = 0; reads < 1000; reads += 1) {
    rig.gateway.read(STREAM, TOPIC, next);
    rig.settle();
    for (const { entries, nextOffset } of rig.gateway.take("deliver")) {
      values.push(...entries.flatMap(({ stored }) => valuesOf(stored)));
      next = nextOffset;
    }
    if (rig.gateway.take("joined").length > 0) return { values, next };
  }
  throw new Error("the stream does not come to the tail");
}

t.test("a consumer at the tail gets what the shard appends, in order with what is published", async (t) => {
  for (const durability of [DURABILITY_FSYNCED, DURABILITY_WRITTEN, DURABILITY_MEMORY]) {
    const rig = rigOf(durability);
    publish(rig, "a");
    rig.settle();
    t.equal(readOn(rig, 0).next, 1);
    publish(rig, "b");
    rig.cycle();
    t.equal(append(rig, "c", "d"), 2);
    publish(rig, "e");
    rig.settle();
    // What is cached comes by itself; then the group is told to look for itself.
    const shared = sharedStreamIdOf(TOPIC, 0);
    t.match(rig.gateway.take("deliver"), [{ streamId: shared, shared: true, firstOffset: 1, nextOffset: 2 }]);
    t.match(rig.gateway.take("progress"), [{ streamId: shared, reason: "gap" }]);
    t.same(readOn(rig, 2), { values: ["c", "d", "e"], next: 5 });
    publish(rig, "f");
    rig.settle();
    t.match(
      rig.gateway.take("deliver"),
      [{ shared: true, firstOffset: 5, nextOffset: 6 }],
      "at the tail again",
    );
    t.same(readOn(rig, 0).values, ["a", "b", "c", "d", "e", "f"]);
  }
});

t.test("what the shard appends shows once it is synced, and nothing behind it before", async (t) => {
  const rig = rigOf(DURABILITY_MEMORY);
  publish(rig, "reserves offsets");
  rig.settle();
  rig.gateway.take("ack");
  append(rig, "own");
  publish(rig, "behind");
  rig.cycle();
  t.same(rig.gateway.take("ack"), [], "it waits for what stands before it");
  t.equal(rig.shard.state.find(TOPIC, 0)?.highWatermark, 1);
  rig.sync();
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: 2 }]);
  publish(rig, "at once again");
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: 3 }]);
});

t.test("a partition that is closed meanwhile takes no harm", async (t) => {
  const rig = rigOf();
  readOn(rig, 0);
  append(rig, "own");
  rig.gateway.ask("close", [TOPIC]);
  rig.settle();
  t.same(rig.gateway.take("deliver"), []);
  t.same(rig.gateway.take("progress"), []);
});

t.test("it survives a crash", async (t) => {
  const rig = rigOf();
  publish(rig, "a");
  append(rig, "b");
  rig.cycle();
  append(rig, "c");
  rig.settle();
  rig.crash("power");
  rig.open();
  rig.reconcile([[TOPIC, 0, DURABILITY_FSYNCED]]);
  const { values } = readOn(rig, 0);
  t.same(values.toSorted(), ["a", "b", "c"]);
});

t.test("a full disk holds it back, and neither what is cached nor the rings", async (t) => {
  for (const durability of [DURABILITY_FSYNCED, DURABILITY_MEMORY]) {
    const rig = rigOf(durability);
    rig.storage.capacityBytes = 40_000;
    let published = 0;
    for (; rig.gateway.take("publish-error").length === 0; published += 1) {
      publish(rig, `${published}`.padEnd(200, "."));
      rig.settle();
    }
    const seen = rig.shard.state.find(TOPIC, 0)?.highWatermark ?? 0;
    append(rig, "own");
    rig.settle();
    t.equal(rig.shard.state.find(TOPIC, 0)?.highWatermark, seen);
    t.same(
      readOn(rig, 0).values.map((value) => Number(value.split(".")[0])),
      Array.from({ length: seen }, (_, i) => i),
      "also what was acknowledged before it could be written",
    );
    rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    rig.clock.advance(600);
    rig.settle();
    const { values } = readOn(rig, 0);
    t.equal(values.at(-1), "own");
    t.equal(rig.shard.journal.isFull, false);
  }
});
