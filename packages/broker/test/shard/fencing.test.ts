import t from "tap";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const PARTITIONS: RigPartition[] = [[TOPIC, 0, DURABILITY_FSYNCED]];

function publish(rig: ShardRig, value: string): void {
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf([value]) });
}

function readAll(rig: ShardRig): string[] {
  const values: string[] = [];
  for (;;) {
    rig.gateway.read(41, TOPIC, values.length);
    rig.settle();
    const deliveries = rig.gateway.take("deliver");
    if (deliveries.length === 0) return values;
    for (const { entries } of deliveries) for (const { stored } of entries) values.push(...valuesOf(stored));
  }
}

t.test("an owner that was replaced acks nothing more, and leaves its successor alone", async (t) => {
  const former = ShardRig.started(PARTITIONS);
  former.gateway.read(40, TOPIC, 0);
  publish(former, "acked");
  former.settle();
  former.gateway.events.splice(0);
  publish(former, "in flight");
  former.cycle();

  const owner = ShardRig.started(PARTITIONS, { storage: former.storage });
  t.ok(owner.journal.epoch > former.journal.epoch);
  former.sync();
  t.throws(() => former.cycle(), { code: "JOURNAL_FAILED" });
  former.gateway.hear();
  t.same(former.gateway.events, []);
  former.journal.close();

  publish(owner, "of the owner");
  owner.settle();
  t.equal(owner.gateway.take("ack").length, 1);
  const records = readAll(owner);
  t.equal(records[0], "acked");
  t.equal(records.at(-1), "of the owner");

  // The former owner was fenced off, which is no damage: the folder is not quarantined.
  owner.crash("power");
  owner.open();
  owner.reconcile(PARTITIONS);
  t.same(readAll(owner), records);
});

t.test("what the former owner writes after it was replaced does not exist", async (t) => {
  const former = ShardRig.started(PARTITIONS);
  publish(former, "acked");
  former.settle();
  const owner = ShardRig.started(PARTITIONS, { storage: former.storage });
  publish(owner, "first of the owner");
  owner.settle();
  publish(former, "too late");
  former.cycle();
  former.sync();
  t.throws(() => former.cycle(), { code: "JOURNAL_FAILED" });
  t.same(former.gateway.take("publish-error"), []);
  publish(owner, "second of the owner");
  owner.settle();
  owner.crash("process");
  owner.open();
  owner.reconcile(PARTITIONS);
  t.same(readAll(owner), ["acked", "first of the owner", "second of the owner"]);
});
