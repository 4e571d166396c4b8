import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import type { BoundsRow } from "../../src/shard/topic-requests.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import type { Ack } from "../harness/recording-gateway.ts";
import { openingOf, type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const FSYNCED = 5;
const WRITTEN = 6;
const MEMORY = 7;
const BLOCK = BROKER_LIMITS.offsetBlock;
/** What the first publish reserves: its own block and the one behind it. */
const FIRST = 2 * BLOCK;
const PARTITIONS: RigPartition[] = [
  [FSYNCED, 0, DURABILITY_FSYNCED],
  [WRITTEN, 0, DURABILITY_WRITTEN],
  [MEMORY, 0, DURABILITY_MEMORY],
];

function publish(rig: ShardRig, topicId: number, ...values: string[]): Ack | undefined {
  rig.gateway.publish({ topicId, count: values.length, stored: batchOf(values) });
  rig.settle();
  return rig.gateway.take("ack")[0];
}

function restart(rig: ShardRig, kind: "power" | "process"): void {
  rig.crash(kind);
  rig.open();
  rig.reconcile(PARTITIONS);
}

function bounds(rig: ShardRig, topicId: number): BoundsRow | undefined {
  return rig.answer("bounds", [topicId, [0]])[0];
}

t.test("after an unclean stop weak topics go on at the next block, in a new log epoch", async (t) => {
  for (const topicId of [WRITTEN, MEMORY]) {
    for (const kind of ["power", "process"] as const) {
      const rig = ShardRig.started(PARTITIONS);
      t.match(publish(rig, topicId, "a", "b"), { baseOffset: 0, logEpoch: 0 });
      t.match(publish(rig, topicId, "c"), { baseOffset: 2, logEpoch: 0 });
      restart(rig, kind);
      const [, highWatermark] = bounds(rig, topicId) ?? [];
      t.equal(highWatermark, FIRST, "one reservation was made");
      t.match(publish(rig, topicId, "d"), { baseOffset: highWatermark, logEpoch: 1 });
    }
  }
});

t.test("fsynced topics go on where they were, in the same epoch", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, FSYNCED, "a", "b");
  restart(rig, "power");
  t.match(publish(rig, FSYNCED, "c"), { baseOffset: 2, logEpoch: 0 });
});

t.test("a clean stop leaves no gap", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, WRITTEN, "a", "b");
  publish(rig, MEMORY, "a");
  rig.stopCleanly();
  rig.open();
  t.ok(rig.journal.cleanShutdown);
  rig.reconcile(PARTITIONS);
  t.match(publish(rig, WRITTEN, "c"), { baseOffset: 2, logEpoch: 0 });
  t.match(publish(rig, MEMORY, "b"), { baseOffset: 1, logEpoch: 0 });
  restart(rig, "power");
  t.match(publish(rig, WRITTEN, "d"), { baseOffset: FIRST, logEpoch: 1 }, "the next stop was not clean");
});

t.test("a topic that never gave an offset has no gap", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  restart(rig, "power");
  t.match(publish(rig, MEMORY, "a"), { baseOffset: 0, logEpoch: 0 });
});

t.test("each unclean stop raises the epoch, and blocks that nobody used are not skipped", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, MEMORY, "a");
  restart(rig, "power");
  restart(rig, "process");
  t.match(publish(rig, MEMORY, "b"), { baseOffset: FIRST, logEpoch: 2 });
});

t.test("readers are told of the gap, from the journal and from the ring", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, WRITTEN, "a");
  publish(rig, WRITTEN, "b");
  rig.clock.advance(2000);
  rig.settle();
  restart(rig, "power");
  const read = (offset: number): unknown[] => {
    rig.gateway.read(40, WRITTEN, offset);
    rig.settle();
    return rig.gateway.events
      .splice(0)
      .map((event) =>
        event.kind === "deliver"
          ? [event.firstOffset, ...event.entries.flatMap(({ stored }) => valuesOf(stored))]
          : event.kind === "progress"
            ? [event.kind, event.nextOffset, event.reason]
            : [event.kind],
      );
  };
  t.same(read(0), [[0, "a", "b"]]);
  t.same(read(2), [["progress", FIRST, "gap"]]);
  t.same(read(FIRST), [["joined"]]);
  rig.gateway.untail(WRITTEN);
  publish(rig, WRITTEN, "c");
  for (const offset of [2, 3, FIRST - 1]) t.same(read(offset), [["progress", FIRST, "gap"]]);
  t.same(read(FIRST), [[FIRST, "c"]]);
});

t.test("the next block is reserved in time, so that nobody waits for it", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, MEMORY, "a");
  const partition = rig.shard.state.find(MEMORY, 0);
  if (partition === undefined) throw new Error("no partition");
  partition.nextOffset = partition.highWatermark = FIRST - BLOCK / 2;
  rig.gateway.publish({ topicId: MEMORY, count: 1, stored: batchOf(["b"]) });
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: FIRST - BLOCK / 2 }], "within what is reserved");
  t.equal(partition.reservedUntil, FIRST);
  rig.settle();
  t.equal(partition.reservedUntil, 3 * BLOCK);
  restart(rig, "power");
  t.match(publish(rig, MEMORY, "c"), { baseOffset: 3 * BLOCK, logEpoch: 1 });
});

t.test("a checkpoint does not lose a reservation that was staged before it", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  rig.gateway.publish({ topicId: MEMORY, count: 1, stored: batchOf(["seen"]) });
  rig.cycle();
  rig.shard.checkpoint(false);
  rig.settle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: 0 }]);
  t.notOk(rig.journal.checkpointPending);
  restart(rig, "power");
  t.match(publish(rig, MEMORY, "other"), { baseOffset: FIRST, logEpoch: 1 });
});

t.test("the epoch and the gap survive when the next stop comes before anything is published", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, MEMORY, "a");
  rig.crash("power");
  rig.open();
  // Asked, but never committed.
  rig.gateway.ask("reconcile", [PARTITIONS.map(openingOf), false]);
  rig.cycle();
  rig.crash("power");
  rig.open();
  rig.reconcile(PARTITIONS);
  const [, highWatermark, logEpoch] = bounds(rig, MEMORY) ?? [];
  t.equal(highWatermark, FIRST);
  t.ok(logEpoch === 1 || logEpoch === 2, `${logEpoch}`);
});

t.test("a topic that becomes weaker reserves offsets before it acks early", async (t) => {
  const rig = ShardRig.started([[5, 0, DURABILITY_FSYNCED]]);
  t.match(publish(rig, 5, "a"), { baseOffset: 0 });
  rig.answer("configure", [[openingOf([5, 0, DURABILITY_MEMORY])]]);
  rig.gateway.publish({ topicId: 5, count: 1, stored: batchOf(["b"]) });
  rig.cycle();
  t.same(rig.gateway.take("ack"), [], "the reservation is not durable yet");
  rig.settle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: 1, durability: DURABILITY_MEMORY }]);
  rig.gateway.publish({ topicId: 5, count: 1, stored: batchOf(["c"]) });
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ baseOffset: 2, durability: DURABILITY_MEMORY }]);
  rig.crash("power");
  rig.open();
  rig.reconcile([[5, 0, DURABILITY_MEMORY]]);
  const [, highWatermark, logEpoch] = bounds(rig, 5) ?? [];
  t.ok((highWatermark ?? 0) > 2, "no offset is given out twice");
  t.equal(logEpoch, 1);
});

t.test("a topic that is fsynced again raises its epoch once more at most", async (t) => {
  const rig = ShardRig.started([[5, 0, DURABILITY_MEMORY]]);
  publish(rig, 5, "a");
  rig.answer("configure", [[openingOf([5, 0, DURABILITY_FSYNCED])]]);
  const epochs: number[] = [];
  for (let lives = 0; lives < 3; lives += 1) {
    t.match(publish(rig, 5, "b"), { durability: DURABILITY_FSYNCED });
    rig.crash("power");
    rig.open();
    rig.reconcile([[5, 0, DURABILITY_FSYNCED]]);
    epochs.push(bounds(rig, 5)?.[2] ?? -1);
  }
  t.same(epochs, [1, 1, 1]);
});
