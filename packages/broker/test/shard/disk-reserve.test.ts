import t from "tap";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { openingOf, ShardRig } from "../harness/shard-rig.ts";

const CONFIG = { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;
const RESERVE_BYTES = 8192;
const RESERVE = /\/reserve$/;

function publish(rig: ShardRig, topicId: number, sequence: number): void {
  const stored = batchOf([`${sequence}`.padEnd(300, ".")]);
  rig.gateway.publish({ topicId, producerId: 8, baseSequence: sequence, count: 1, stored });
  rig.settle();
}

function hasReserve(rig: ShardRig): boolean {
  return rig.storage.contents().some(({ path, size }) => RESERVE.test(path) && size === RESERVE_BYTES);
}

/** The shard with the catalog, one topic, and a reserve. */
function rigOf(): { rig: ShardRig; topicId: number } {
  const rig = ShardRig.started([], { shardId: 0, shardCount: 1, reserveBytes: RESERVE_BYTES });
  const { topicId } = rig.answer("createTopic", ["full", CONFIG]);
  rig.answer("open", [[openingOf([topicId, 0, DURABILITY_FSYNCED])]]);
  return { rig, topicId };
}

/** Publishes until that is refused. @returns the sequence that was */
function fillDisk(rig: ShardRig, topicId: number): number {
  const used = rig.storage.contents().reduce((sum, { size }) => sum + size, 0);
  rig.storage.capacityBytes = used + 5000;
  for (let sequence = 0; sequence < 100; sequence += 1) {
    publish(rig, topicId, sequence);
    if (rig.gateway.take("publish-error").length > 0) return sequence;
  }
  throw new Error("the disk does not fill up");
}

function eventsOf(rig: ShardRig): string[] {
  return rig.logged.map(({ event }) => event).filter((event) => !event.startsWith("settled"));
}

t.test("a reserve is made, and taken over by the next owner", async (t) => {
  const { rig } = rigOf();
  t.ok(hasReserve(rig));
  rig.crash("process");
  rig.open();
  rig.reconcile([]);
  t.ok(hasReserve(rig));
});

t.test("what was taken is written to a full disk, and stored batches are acknowledged again", async (t) => {
  const { rig, topicId } = rigOf();
  const refused = fillDisk(rig, topicId);
  t.equal(rig.gateway.take("ack").length, refused, "also the batch that found the disk full");
  t.notOk(hasReserve(rig));
  publish(rig, topicId, refused);
  t.match(rig.gateway.take("publish-error"), [{ error: "DISK_FULL", retryAfterMs: 500 }]);
  publish(rig, topicId, 3);
  t.match(rig.gateway.take("ack"), [{ firstSequence: 3, baseOffset: 3 }]);
  t.same(eventsOf(rig), ["reserve-released", "publishes-refused"], "once for each change");
  t.equal(rig.answer("status", []).refusing, "disk-full");
  t.equal(rig.gateway.link.refusal, "disk-full", "which the node shows");
});

t.test("topics are changed, truncated and deleted on a full disk, but not created", async (t) => {
  const { rig, topicId } = rigOf();
  const refused = fillDisk(rig, topicId);
  t.throws(() => rig.answer("createTopic", ["another", CONFIG]), { message: "DISK_FULL" });
  t.match(rig.answer("alterTopic", ["full", { retentionMs: 60_000 }]), { retentionMs: 60_000 });
  t.match(rig.answer("truncate", [topicId, [[0, refused]]]), [[refused, refused]]);
  t.match(rig.answer("deleteTopic", ["full"]), { topic: { topicId } });
  t.equal(rig.answer("close", [topicId]), 1);
});

t.test("deletion makes room by itself, then the reserve comes back and publishes go on", async (t) => {
  const { rig, topicId } = rigOf();
  const { topicId: kept } = rig.answer("createTopic", ["kept", CONFIG]);
  rig.answer("open", [[openingOf([kept, 0, DURABILITY_FSYNCED])]]);
  // Much more than the reserve is to be freed.
  for (let sequence = 0; sequence < 60; sequence += 1) publish(rig, topicId, sequence);
  const used = rig.storage.contents().reduce((sum, { size }) => sum + size, 0);
  rig.storage.capacityBytes = used + 1000;
  for (let sequence = 0; rig.gateway.take("publish-error").length === 0; sequence += 1) {
    publish(rig, kept, sequence);
  }
  rig.answer("deleteTopic", ["full"]);
  rig.answer("close", [topicId]);
  for (let minutes = 0; rig.answer("status", []).refusing !== null; minutes += 1) {
    if (minutes > 30) throw new Error("publishes are refused for good");
    for (let left = 60_000; left > 0; ) {
      const step = Math.min(left, rig.shard.nextTimerMs());
      rig.clock.advance(step);
      left -= step;
      rig.settle();
    }
  }
  t.ok(hasReserve(rig));
  rig.gateway.events.splice(0);
  publish(rig, kept, 50);
  t.match(rig.gateway.events, [{ error: "OUT_OF_SEQUENCE" }], "refused for what it is");
  t.same(eventsOf(rig).at(-1), "publishes-accepted");
});

t.test("while the disk is low publishes wait, and the reserve stays", async (t) => {
  const { rig, topicId } = rigOf();
  rig.shard.setDiskRoom(true, 0);
  publish(rig, topicId, 0);
  t.match(rig.gateway.take("publish-error"), [{ error: "DISK_FULL", retryAfterMs: 500 }]);
  t.equal(rig.journal.adoptOnly, true);
  t.throws(() => rig.answer("createTopic", ["another", CONFIG]), { message: "DISK_FULL" });
  t.match(rig.answer("alterTopic", ["full", { retentionMs: 60_000 }]), { retentionMs: 60_000 });
  t.ok(hasReserve(rig));
  t.same(eventsOf(rig), [], "the node has said it for all shards");
  rig.shard.setDiskRoom(false, Number.POSITIVE_INFINITY);
  publish(rig, topicId, 0);
  t.match(rig.gateway.take("ack"), [{ baseOffset: 0 }]);
  t.equal(rig.journal.adoptOnly, false);
});

t.test("topics are truncated and deleted on a disk of which others have taken the reserve too", async (t) => {
  const { rig, topicId } = rigOf();
  for (let sequence = 0; sequence < 10; sequence += 1) publish(rig, topicId, sequence);
  rig.shard.setDiskRoom(true, 0);
  rig.settle();
  rig.storage.unlink(`${rig.directory}/reserve`);
  rig.storage.capacityBytes = 0;
  t.match(rig.answer("truncate", [topicId, [[0, 5]]]), [[5, 10]]);
  for (let left = 60_000; left > 0; left -= 500) {
    rig.clock.advance(500);
    rig.settle();
  }
  t.match(rig.answer("deleteTopic", ["full"]), { topic: { topicId } });
  t.equal(rig.answer("close", [topicId]), 1);
  t.notOk(rig.journal.isFull);

  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.shard.setDiskRoom(false, Number.POSITIVE_INFINITY);
  for (let left = 60_000; left > 0; left -= 500) {
    rig.clock.advance(500);
    rig.settle();
  }
  t.equal(rig.answer("status", []).refusing, null);
  t.ok(hasReserve(rig));
  const names = rig.storage.contents().map(({ path }) => path);
  t.same(
    names.filter((name) => name.includes("/held-")),
    [],
    "what was held is given back",
  );
  rig.crash("power");
  rig.open();
  rig.reconcile([]);
  t.same(rig.answer("catalog", [0]), [], "the deletion was durable");
});

t.test("publishes take no more room than the last look has left them", async (t) => {
  const { rig, topicId } = rigOf();
  rig.shard.setDiskRoom(false, 1000);
  for (let sequence = 0; sequence < 6; sequence += 1) publish(rig, topicId, sequence);
  const acked = (): number => rig.gateway.take("ack").reduce((sum, { count }) => sum + count, 0);
  t.equal(acked(), 3, "the third has passed it");
  t.same(rig.gateway.events, [], "the others wait, and are not refused");
  rig.shard.setDiskRoom(false, 1000);
  rig.settle();
  t.equal(acked(), 3, "for another look");
  rig.shard.setDiskRoom(false, 0);
  publish(rig, topicId, 6);
  rig.shard.setDiskRoom(true, 0);
  rig.settle();
  t.match(rig.gateway.take("publish-error"), [{ error: "DISK_FULL", firstSequence: 6 }]);
});

t.test("a failed sync is remembered on a full disk too", async (t) => {
  for (const reserveBytes of [RESERVE_BYTES, 0]) {
    const rig = ShardRig.started([[5, 0, DURABILITY_FSYNCED]], { reserveBytes });
    publish(rig, 5, 0);
    rig.storage.capacityBytes = rig.storage.contents().reduce((sum, { size }) => sum + size, 0) + 500;
    rig.storage.failSyncIn = 0;
    t.throws(() => publish(rig, 5, 1), { code: "JOURNAL_FAILED" });
    rig.crash("power");
    t.throws(() => rig.open(), { code: "JOURNAL_QUARANTINED" });
  }
});
