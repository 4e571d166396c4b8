import t, { type Test } from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { openingOf, type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const FSYNCED = 5;
const WEAK = 6;
const PARTITIONS: readonly RigPartition[] = [
  [FSYNCED, 0, DURABILITY_FSYNCED],
  [WEAK, 0, DURABILITY_MEMORY],
];

function start(rig: ShardRig, restored: boolean): void {
  rig.crash("power");
  rig.open();
  rig.answer("reconcile", [PARTITIONS.map(openingOf), rig.journal.cleanShutdown, restored]);
}

function publish(rig: ShardRig, topicId: number): void {
  rig.gateway.publish({ topicId, count: 2, stored: batchOf(["a", "b"]) });
  rig.settle();
}

function same(t: Test, rig: ShardRig, topicId: number, restores: unknown): void {
  t.same(rig.answer("bounds", [topicId, [0]])[0]?.[4], restores);
}

t.test("a log tells which restores it has been through, and where the backup's records ended", async (t) => {
  const rig = ShardRig.started(PARTITIONS);
  publish(rig, FSYNCED);
  publish(rig, WEAK);
  same(t, rig, FSYNCED, undefined);
  start(rig, false);
  same(t, rig, WEAK, undefined);
  const [[, weakEnd = 0] = []] = rig.answer("bounds", [WEAK, [0]]);

  start(rig, true);
  const [[, next = 0, epoch = 0] = []] = rig.answer("bounds", [FSYNCED, [0]]);
  const [[, , weakEpoch = 0] = []] = rig.answer("bounds", [WEAK, [0]]);
  t.ok(epoch > 0 && next > 2 ** 30);
  same(t, rig, FSYNCED, [[epoch, 2]]);
  same(t, rig, WEAK, [[weakEpoch, weakEnd]]);

  publish(rig, WEAK);
  start(rig, false);
  t.ok((rig.answer("bounds", [WEAK, [0]])[0]?.[2] ?? 0) > weakEpoch, "an unclean stop raises the epoch");
  same(t, rig, WEAK, [[weakEpoch, weakEnd]]);
  rig.stopCleanly();
  start(rig, false);
  same(t, rig, FSYNCED, [[epoch, 2]]);
  publish(rig, FSYNCED);
  start(rig, true);
  const [[, , second = 0] = []] = rig.answer("bounds", [FSYNCED, [0]]);
  same(t, rig, FSYNCED, [
    [epoch, 2],
    [second, next + 2],
  ]);
});
