import t from "tap";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const OTHER = 6;
const SEGMENT = 65_536;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let published = 0;

function publish(rig: ShardRig, count: number, topicId: number = TOPIC): void {
  for (let i = 0; i < count; i += 1) {
    published += 1;
    rig.gateway.publish({ topicId, count: 1, stored: batchOf([`${published}`.padEnd(500, ".")]) });
    rig.settle();
  }
}

/** Lets time pass as a thread does: it sleeps until the next timer. */
function pass(rig: ShardRig, ms: number): number {
  let cycles = 0;
  for (let left = ms; left > 0; cycles += 1) {
    const step = Math.min(left, Math.max(1, rig.shard.nextTimerMs()));
    rig.clock.advance(step);
    left -= step;
    rig.settle();
  }
  return cycles;
}

function startOf(rig: ShardRig, topicId: number = TOPIC): number {
  return rig.answer("bounds", [topicId, [0]])[0]?.[0] ?? -1;
}

function retainedOf(rig: ShardRig, topicId: number = TOPIC): number {
  return rig.answer("bounds", [topicId, [0]])[0]?.[3] ?? -1;
}

function filesOf(rig: ShardRig, ending: string): { path: string; size: number }[] {
  return rig.storage.contents().filter(({ path }) => path.endsWith(ending));
}

function readAll(rig: ShardRig, from: number, topicId: number = TOPIC): number {
  let next = from;
  for (;;) {
    rig.gateway.read(40, topicId, next, 4096);
    rig.settle();
    const deliveries = rig.gateway.take("deliver");
    if (deliveries.length === 0) return next - from;
    for (const { entries } of deliveries) for (const { stored } of entries) next += valuesOf(stored).length;
  }
}

t.test(
  "a shard with few records settles them, drops them when they are old, and comes to rest",
  async (t) => {
    const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED, 8 * MINUTE]], { segmentSizeBytes: SEGMENT });
    publish(rig, 10);
    rig.gateway.events.splice(0);
    const retained = retainedOf(rig);
    t.ok(retained > 5000);
    pass(rig, 2 * MINUTE);
    t.ok(filesOf(rig, ".settled").length > 0, "an eighth of the retention has passed");
    t.equal(retainedOf(rig), retained);
    t.equal(readAll(rig, 0), 10);
    t.equal(startOf(rig), 0);
    pass(rig, 10 * MINUTE);
    t.equal(startOf(rig), 10);
    t.equal(retainedOf(rig), 0);
    pass(rig, HOUR);
    t.same(filesOf(rig, ".settled"), []);
    t.ok(
      filesOf(rig, ".log").reduce((sum, { size }) => sum + size, 0) < 4000,
      "nor is it in the journal any more",
    );
    const staged = rig.journal.stagedPosition;
    t.ok(pass(rig, 24 * HOUR) < 10, "an idle shard sleeps");
    t.equal(rig.journal.stagedPosition, staged, "and writes nothing");

    rig.crash("power");
    rig.open();
    rig.reconcile([[TOPIC, 0, DURABILITY_FSYNCED, 8 * MINUTE]]);
    t.equal(startOf(rig), 10);
  },
);

t.test("what an earlier owner has left is settled and expires without any publish", async (t) => {
  const partitions = [[TOPIC, 0, DURABILITY_FSYNCED, 8 * MINUTE]] as const;
  const rig = ShardRig.started(partitions, { segmentSizeBytes: SEGMENT });
  publish(rig, 10);
  rig.stopCleanly();
  rig.crash("process");
  rig.open();
  rig.reconcile(partitions);
  pass(rig, 30 * MINUTE);
  t.equal(startOf(rig), 10);
  pass(rig, HOUR);
  t.same(filesOf(rig, ".settled"), []);
});

t.test("bytes of a partition stay near its share", async (t) => {
  const rig = ShardRig.started(
    [
      [TOPIC, 0, DURABILITY_FSYNCED, 0, 40_000],
      [OTHER, 0, DURABILITY_FSYNCED],
    ],
    { segmentSizeBytes: 8192, settling: { batchBytes: 8192, afterMs: 0, rewriteDeadBytesMin: 256 } },
  );
  for (let i = 0; i < 40; i += 1) {
    publish(rig, 10);
    publish(rig, 1, OTHER);
    pass(rig, 1000);
  }
  rig.gateway.events.splice(0);
  t.ok(retainedOf(rig) < 80_000, "what is dead in a file with others goes when there is time");
  pass(rig, 10 * MINUTE);
  const retained = retainedOf(rig);
  t.ok(retained >= 40_000 && retained < 40_000 + 3 * 8192, `${retained} bytes`);
  t.equal(startOf(rig, OTHER), 0);
  t.equal(readAll(rig, 0, OTHER), 40);
  const start = startOf(rig);
  rig.gateway.read(41, TOPIC, 0);
  rig.settle();
  t.match(rig.gateway.take("progress"), [{ nextOffset: start, reason: "retention" }]);
  t.equal(readAll(rig, start), 400 - start);
});

t.test("a deleted topic and a truncated one give their space back soon", async (t) => {
  const rig = ShardRig.started(
    [
      [TOPIC, 0, DURABILITY_FSYNCED],
      [OTHER, 0, DURABILITY_FSYNCED],
    ],
    { segmentSizeBytes: SEGMENT },
  );
  publish(rig, 200);
  publish(rig, 20, OTHER);
  const used = (): number => rig.storage.contents().reduce((sum, { size }) => sum + size, 0);
  t.ok(used() > 110_000);
  rig.answer("close", [TOPIC]);
  pass(rig, 3 * MINUTE);
  t.ok(used() < 30_000, `${used()} bytes after the deletion`);
  rig.gateway.events.splice(0);
  t.equal(readAll(rig, 0, OTHER), 20);
  rig.answer("truncate", [OTHER, [[0, 20]]]);
  pass(rig, 10 * MINUTE);
  t.ok(used() < 8000, `${used()} bytes after the truncation`);
  t.equal(startOf(rig, OTHER), 20);
});

t.test("the oldest files go when the volume is too full", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], {
    segmentSizeBytes: 8192,
    settling: { batchBytes: 8192, afterMs: 0 },
  });
  for (let i = 0; i < 10; i += 1) {
    publish(rig, 10);
    pass(rig, 1000);
  }
  const before = rig.answer("status", []);
  t.ok(before.settledFiles >= 4);
  const oldest = rig.answer("oldest", [2]);
  t.equal(oldest.length, 2);
  const requestId = rig.gateway.ask("drop", [2]);
  rig.settle();
  const [reply] = rig.gateway.take("reply");
  t.equal(reply?.requestId, requestId);
  const { files, bytes } = (reply?.value ?? {}) as { files: number; bytes: number };
  t.equal(files, 2);
  t.equal(bytes, (oldest[0]?.[1] ?? 0) + (oldest[1]?.[1] ?? 0));
  const after = rig.answer("status", []);
  t.ok(after.storedBytes < before.storedBytes - bytes + 1000);
  t.ok(startOf(rig) > 0);
});

t.test(
  "publishes are refused while far too much waits to be settled, and everything else goes on",
  async (t) => {
    const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], {
      segmentSizeBytes: 4096,
      settling: { batchBytes: Number.MAX_SAFE_INTEGER, afterMs: 1000 * HOUR },
    });
    let refused = 0;
    for (let i = 0; i < 2000 && refused === 0; i += 1) {
      rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf([`${i}`.padEnd(500, ".")]) });
      pass(rig, 20);
      const [refusal] = rig.gateway.take("publish-error");
      if (refusal !== undefined) {
        refused = i;
        t.match(refusal, { error: "THROTTLED", retryAfterMs: 500 });
      }
    }
    t.ok(refused > 32 * 5, `${refused} batches`);
    t.equal(rig.answer("status", []).refusing, "settling-behind");
    t.equal(rig.logged.filter(({ event }) => event === "publishes-refused").length, 1);
    rig.answer("truncate", [TOPIC, [[0, 5]]]);
    t.equal(startOf(rig), 5);
    rig.gateway.events.splice(0);
    t.equal(readAll(rig, 5), refused - 5);
  },
);
