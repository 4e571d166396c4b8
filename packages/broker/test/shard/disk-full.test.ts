import type { SimulatedStorage, Storage } from "@millrace/journal/internal";
import t from "tap";
import { MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const WRITTEN = 6;
const MEMORY = 7;

function publish(rig: ShardRig, baseSequence: number, value: string, topicId: number = TOPIC): void {
  rig.gateway.publish({ topicId, producerId: 8, baseSequence, count: 1, stored: batchOf([value]) });
}

function recordOf(sequence: number): string {
  return `${sequence}`.padEnd(200, ".");
}

/** Publishes until the disk is full. @returns the sequence of the first batch that was refused */
function fillDisk(rig: ShardRig): number {
  for (let sequence = 0; sequence < 1000; sequence += 1) {
    publish(rig, sequence, recordOf(sequence));
    rig.settle();
    if (rig.gateway.events.some(({ kind }) => kind === "publish-error")) return sequence;
  }
  throw new Error("the disk does not fill up");
}

function readAll(rig: ShardRig, topicId: number, end: number): string[] {
  const values: string[] = [];
  while (values.length < end) {
    rig.gateway.read(40, topicId, values.length, 4096);
    rig.settle();
    const deliveries = rig.gateway.take("deliver");
    if (deliveries.length === 0) throw new Error(`nothing at ${values.length}`);
    for (const { entries } of deliveries) for (const { stored } of entries) values.push(...valuesOf(stored));
  }
  return values;
}

t.test("a full disk refuses publishes, keeps what it took, and goes on when there is room", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]]);
  rig.storage.capacityBytes = 20_000;
  const refused = fillDisk(rig);
  const acked = rig.gateway.take("ack").length;
  t.equal(acked, refused - 1, "the batch that found the disk full is neither acked nor refused");
  t.match(rig.gateway.take("publish-error"), [
    { error: "DISK_FULL", firstSequence: refused, retryAfterMs: 500 },
  ]);

  t.equal(readAll(rig, TOPIC, acked).length, acked, "reads go on");
  rig.gateway.read(41, TOPIC, acked);
  rig.settle();
  t.match(rig.gateway.take("joined"), [{ offset: acked }], "what is not written is not shown");

  rig.clock.advance(600);
  rig.settle();
  t.same(rig.gateway.events, [], "still full");
  t.ok(rig.shard.nextTimerMs() <= 500, "the shard tries again by itself");

  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(rig.shard.nextTimerMs());
  rig.settle();
  t.match(rig.gateway.take("ack"), [{ firstSequence: refused - 1, baseOffset: refused - 1 }]);
  publish(rig, refused, recordOf(refused));
  rig.settle();
  t.match(rig.gateway.take("ack"), [{ firstSequence: refused, baseOffset: refused }]);
  t.ok(rig.shard.nextTimerMs() > 3_000_000, "nothing but the end of the segment");

  rig.crash("power");
  rig.open();
  rig.reconcile([[TOPIC, 0, DURABILITY_FSYNCED]]);
  t.same(
    readAll(rig, TOPIC, refused + 1),
    Array.from({ length: refused + 1 }, (_, i) => recordOf(i)),
  );
});

t.test("what waits for room keeps its bytes, however much is refused meanwhile", async (t) => {
  const rig = ShardRig.started(
    [
      [TOPIC, 0, DURABILITY_FSYNCED],
      [WRITTEN, 0, DURABILITY_WRITTEN],
      [MEMORY, 0, DURABILITY_MEMORY],
    ],
    { inboundBytes: 8192 },
  );
  for (const topicId of [WRITTEN, MEMORY]) {
    publish(rig, 0, "reserves offsets", topicId);
    rig.settle();
    rig.gateway.read(40 + topicId, topicId, 1);
    rig.settle();
  }
  rig.gateway.events.splice(0);
  rig.storage.capacityBytes = 0;
  publish(rig, 0, "fsynced, waits", TOPIC);
  publish(rig, 1, "written, waits", WRITTEN);
  publish(rig, 1, "memory, is acked before the write", MEMORY);
  rig.settle();
  t.match(rig.gateway.events.splice(0), [
    { kind: "ack", topicId: MEMORY },
    { kind: "deliver", shared: true },
  ]);
  for (let i = 0; i < 400; i += 1) {
    publish(rig, 2, "x".repeat(200), i % 2 === 0 ? WRITTEN : MEMORY);
    rig.settle();
  }
  t.equal(rig.gateway.take("publish-error").length, 400, "the ring went round several times");
  t.same(rig.gateway.events.splice(0), []);
  t.same(readAll(rig, MEMORY, 2), ["reserves offsets", "memory, is acked before the write"]);
  t.same(readAll(rig, WRITTEN, 1), ["reserves offsets"]);

  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(500);
  rig.settle();
  t.equal(rig.gateway.take("ack").length, 2);
  t.same(
    rig.gateway.take("deliver").flatMap(({ entries }) => entries.flatMap(({ stored }) => valuesOf(stored))),
    ["written, waits"],
    "the tail group gets it from what was kept",
  );
  t.same(readAll(rig, TOPIC, 1), ["fsynced, waits"]);
  t.same(readAll(rig, MEMORY, 2), ["reserves offsets", "memory, is acked before the write"]);
});

t.test("a disk that is full again before the rest is synced keeps both", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], { inboundBytes: 8192 });
  rig.gateway.read(40, TOPIC, 0);
  rig.settle();
  for (const sequence of [0, 1]) {
    rig.storage.capacityBytes = 0;
    publish(rig, sequence, recordOf(sequence));
    rig.cycle();
    for (let i = 0; i < 100; i += 1) {
      publish(rig, sequence + 1, "refused".repeat(40));
      rig.cycle();
    }
    rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    rig.clock.advance(500);
    rig.cycle();
  }
  t.same(rig.gateway.take("ack"), [], "nothing was synced");
  rig.settle();
  t.same(
    rig.gateway.take("deliver").flatMap(({ entries }) => entries.flatMap(({ stored }) => valuesOf(stored))),
    [recordOf(0), recordOf(1)],
  );
});

t.test("a disk that fills up again and again loses nothing either", async (t) => {
  const rig = ShardRig.started([[MEMORY, 0, DURABILITY_MEMORY]], { inboundBytes: 8192 });
  const values: string[] = [];
  let acked = 0;
  const hear = (): void => {
    for (const ack of rig.gateway.take("ack")) acked = ack.firstSequence + ack.count;
    for (const { entries } of rig.gateway.take("deliver")) {
      for (const { stored } of entries) values.push(...valuesOf(stored));
    }
  };
  rig.gateway.read(40, MEMORY, 0);
  rig.settle();
  for (let round = 0; round < 30; round += 1) {
    rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    rig.clock.advance(500);
    for (let i = round % 4; i > 0; i -= 1) {
      publish(rig, acked, recordOf(acked), MEMORY);
      rig.settle();
      hear();
    }
    rig.storage.capacityBytes = 0;
    for (let i = 0; i < 40; i += 1) publish(rig, acked, recordOf(acked), MEMORY);
    if (round % 3 === 0) rig.clock.advance(500);
    // Now and then nobody listens, so that what was rescued stays for long.
    if (round % 5 === 0) for (let i = 0; i < 5; i += 1) rig.shard.doWork();
    else rig.settle();
    rig.gateway.take("publish-error");
    hear();
  }
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(500);
  rig.settle();
  hear();
  t.ok(acked > 30);
  t.same(
    values,
    Array.from({ length: acked }, (_, i) => recordOf(i)),
  );
});

t.test("retries of stored batches are acknowledged while the disk is full", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]]);
  rig.storage.capacityBytes = 20_000;
  const refused = fillDisk(rig);
  rig.gateway.events.splice(0);
  publish(rig, 0, recordOf(0));
  publish(rig, refused, recordOf(refused));
  // What is stored but waits for room is acknowledged with it.
  publish(rig, refused - 1, recordOf(refused - 1));
  rig.settle();
  t.match(rig.gateway.take("publish-error"), [{ error: "DISK_FULL", firstSequence: refused }]);
  t.same(rig.gateway.take("ack"), [], "the answer is behind what is not written");
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(500);
  rig.settle();
  t.match(
    rig.gateway.take("ack").map(({ firstSequence, baseOffset }) => [firstSequence, baseOffset]),
    [
      [refused - 1, refused - 1],
      [0, 0],
      [refused - 1, refused - 1],
    ],
  );
});

t.test("the catalog says that the disk is full, and can be changed when it is not", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], { shardId: 0 });
  const config = { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;
  rig.storage.capacityBytes = 20_000;
  fillDisk(rig);
  t.throws(() => rig.answer("createTopic", ["a", config]), { message: "DISK_FULL" });
  t.same(rig.answer("catalog", [0]), []);
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(500);
  rig.settle();
  t.match(rig.answer("createTopic", ["a", config]), { name: "a" });
});

/** A storage on which no sidecar can be made while `blocked` is set. */
class WithoutSidecars {
  blocked = false;

  wrap = (storage: SimulatedStorage): Storage =>
    new Proxy<Storage>(storage, {
      get: (target, name) => {
        if (name === "open") {
          return (path: string, mode: "read" | "readWrite" | "create") => {
            if (this.blocked && mode === "create" && path.includes(".idx")) {
              throw Object.assign(new Error("no room"), { code: "ENOSPC" });
            }
            return target.open(path, mode);
          };
        }
        const member = target[name as keyof Storage];
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
}

t.test("publishes go on by themselves after indexing had lagged behind", async (t) => {
  const disk = new WithoutSidecars();
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], {
    segmentSizeBytes: 4096,
    wrapStorage: disk.wrap,
  });
  disk.blocked = true;
  const refused = fillDisk(rig);
  rig.gateway.events.splice(0);
  disk.blocked = false;
  for (let tries = 0; rig.gateway.take("ack").length === 0; tries += 1) {
    if (tries > 100) throw new Error("publishes are refused for good");
    // Nobody publishes while the shard waits: nothing else makes it write.
    rig.clock.advance(Math.min(rig.shard.nextTimerMs(), 60_000));
    rig.settle();
    if (rig.journal.isFull) continue;
    publish(rig, refused, recordOf(refused));
    rig.settle();
  }
  t.ok(rig.shard.nextTimerMs() > 100, "nothing but settling");
  t.equal(readAll(rig, TOPIC, refused + 1).length, refused + 1);
});

t.test("a dead letter that a full disk keeps from being redriven can be redriven later", async (t) => {
  const rig = ShardRig.started([
    [TOPIC, 0, DURABILITY_FSYNCED],
    [WRITTEN, 0, DURABILITY_FSYNCED],
  ]);
  rig.shard.state.deadLetterTopics.set(TOPIC, WRITTEN);
  const settings = [30_000, 5, 1_000, 60_000, false, "workers", "jobs", []] as const;
  rig.answer("subscribe", [[1, TOPIC, MODE_QUEUE, ...settings], [[0, 0]]]);
  rig.gateway.publish({ topicId: WRITTEN, count: 1, stored: batchOf(["dead"]) });
  rig.settle();
  rig.storage.capacityBytes = 20_000;
  fillDisk(rig);
  t.throws(() => rig.answer("redrive", [WRITTEN, [[0, 0, 1]]]), { message: "DISK_FULL" });
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(rig.shard.nextTimerMs());
  rig.settle();
  t.equal(rig.answer("redrive", [WRITTEN, [[0, 0, 1]]]), 1);
});
