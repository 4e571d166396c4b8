import {
  judgeShard,
  runVerifyJob,
  SeededRandom,
  type SegmentResult,
  type SettledResult,
  type SimulatedStorage,
  shardJobs,
  surveyShard,
} from "@millrace/journal/internal";
import t, { type Test } from "tap";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { type RigPartition, ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const TOPIC = 5;
const OTHER = 6;
const BATCHES = 40;
const PER_BATCH = 3;
const PARTITIONS: readonly RigPartition[] = [
  [TOPIC, 0, DURABILITY_FSYNCED],
  [OTHER, 0, DURABILITY_FSYNCED],
];
const SEGMENT = 16_384;
const UNSETTLED = { batchBytes: 1e9, afterMs: 1e12 };
const AT_ONCE = { batchBytes: 1, afterMs: 0, adoptBytesMin: 1, rewriteDeadBytesMin: 1 };

function textOf(offset: number): string {
  return `<${offset}>`.padEnd(300, "x");
}

/** A stopped shard, BATCHES batches of PER_BATCH records in TOPIC, with others between them; nothing is settled. */
function made(): SimulatedStorage {
  const rig = ShardRig.started(PARTITIONS, { segmentSizeBytes: SEGMENT, settling: UNSETTLED });
  for (let i = 0; i < BATCHES; i += 1) {
    const values = Array.from({ length: PER_BATCH }, (_, j) => textOf(i * PER_BATCH + j));
    rig.gateway.publish({ topicId: TOPIC, count: PER_BATCH, stored: batchOf(values) });
    rig.gateway.publish({ topicId: OTHER, count: 1, stored: batchOf(["y".repeat(2_000)]) });
    rig.settle();
  }
  rig.stopCleanly();
  return rig.storage;
}

function started(storage: SimulatedStorage, settling: NonNullable<ShardRigOptions["settling"]>): ShardRig {
  const rig = new ShardRig({ storage, segmentSizeBytes: SEGMENT, settling });
  rig.open();
  rig.reconcile(PARTITIONS);
  return rig;
}

/** Damages the value of a record where it stands in a file of this kind. */
function damage(storage: SimulatedStorage, ending: string, offset: number): void {
  for (const { path, size } of storage.contents()) {
    if (!path.endsWith(ending)) continue;
    const bytes = Buffer.alloc(size);
    const fd = storage.open(path, "read");
    storage.read(fd, bytes, 0, size, 0);
    storage.close(fd);
    const at = bytes.indexOf(textOf(offset));
    if (at < 0) continue;
    storage.flipBit(path, at + 200, 3);
    return;
  }
  throw new Error(`offset ${offset} stands in no file of this kind: ${ending}`);
}

/** What `millrace doctor --repair` does to a shard. */
function repair(t: Test, storage: SimulatedStorage, directory: string): void {
  for (let round = 0; ; round += 1) {
    const survey = surveyShard(storage, directory, 1);
    const results = shardJobs(survey).map((job) => runVerifyJob(storage, job, () => {}));
    const segments = results.filter((result): result is SegmentResult => result?.kind === "segment");
    const settled = results.filter((result): result is SettledResult => result?.kind === "settled");
    const findings = judgeShard(survey, segments, settled);
    if (round > 0 && findings.length === 0) return;
    t.ok(findings.length > 0 && round < 4, `${findings.map(({ sentence }) => sentence)}`);
    const steps = new Map(findings.flatMap((finding) => finding.repair?.steps ?? []).map((s) => [s.path, s]));
    for (const step of steps.values()) {
      runVerifyJob(storage, { kind: "repair", step, asidePath: "/aside" }, () => {});
    }
  }
}

/** Reads the topic from its beginning and compares it with what was published. @returns what is left out, and why */
function gapsOf(t: Test, rig: ShardRig, from = 0): string[] {
  const gaps: string[] = [];
  let next = from;
  rig.gateway.events.splice(0);
  while (next < BATCHES * PER_BATCH) {
    rig.gateway.read(40, TOPIC, next, 4_096);
    rig.settle();
    for (const event of rig.gateway.events.splice(0)) {
      if (event.kind === "progress") {
        gaps.push(`${event.reason} ${next}-${event.nextOffset}`);
        next = event.nextOffset;
      } else if (event.kind === "deliver") {
        for (const { baseOffset, stored } of event.entries) {
          const values = valuesOf(stored);
          const expected = values.map((_, i) => textOf(baseOffset + i));
          if (values.join() !== expected.join()) t.fail(`offset ${baseOffset} holds something else`);
        }
        if (event.firstOffset > next) t.fail(`${event.firstOffset} came in place of ${next}`);
        next = event.nextOffset;
      }
    }
  }
  t.same(rig.readFailures, []);
  return gaps;
}

function settleAll(t: Test, rig: ShardRig): void {
  rig.journal.roll();
  for (let i = 0; i < 400; i += 1) {
    rig.clock.advance(1_000);
    rig.settle();
    rig.gateway.publish({ topicId: OTHER, count: 1, stored: batchOf(["z".repeat(1_000)]) });
    rig.settle();
  }
  const first = rig.journal.index.firstOffset(TOPIC, 0);
  t.ok(first === undefined || first === BATCHES * PER_BATCH, `all of the topic is settled: ${first}`);
}

const storage = made();
const { directory } = new ShardRig();
damage(storage, ".log", 31);
damage(storage, ".log", 34);
damage(storage, ".log", 70);
repair(t, storage, directory);
const EXPECTED = ["damage 30-33", "damage 33-36", "damage 69-72"];

t.test("a reader is told of batches that a repair of a segment has erased", async (t) => {
  const rig = started(storage.clone(new SeededRandom(2)), UNSETTLED);
  t.same(gapsOf(t, rig), EXPECTED);
  t.same(gapsOf(t, rig, 32)[0], "damage 32-33", "also who begins within one");
  rig.stopCleanly();
});

for (const how of ["sorted", "adopted"] as const) {
  t.test(`and still is when they have been settled: ${how}`, async (t) => {
    const disk = storage.clone(new SeededRandom(3));
    let rig = started(disk, AT_ONCE);
    rig.journal.adoptOnly = how === "adopted";
    settleAll(t, rig);
    t.same(gapsOf(t, rig), EXPECTED);
    rig.stopCleanly();
    damage(disk, ".settled", 100);
    repair(t, disk, directory);
    rig = started(disk, AT_ONCE);
    const expected = [...EXPECTED, "damage 99-102"];
    t.same(gapsOf(t, rig), expected, "what is repaired in a settled file is told alike");
    if (how === "adopted") return;
    const before = rig.journal.settledFiles.map(({ part, basePosition }) => `${basePosition}-${part}`);
    rig.answer("close", [OTHER]);
    for (let i = 0; i < 60; i += 1) {
      rig.clock.advance(10_000);
      rig.settle();
    }
    const after = rig.journal.settledFiles.map(({ part, basePosition }) => `${basePosition}-${part}`);
    t.notSame(after, before, "files that were mostly of a deleted topic are written again");
    t.same(gapsOf(t, rig), expected);
  });
}
