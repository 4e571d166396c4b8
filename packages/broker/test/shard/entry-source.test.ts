import t from "tap";
import { PROGRESS_GAP, PROGRESS_RETENTION } from "../../src/link/outbound-layout.ts";
import { COMING, GONE, HERE } from "../../src/shard/entry-source.ts";
import type { Partition } from "../../src/shard/partition.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const TOPIC = 5;

function rigOf(options?: ShardRigOptions, durability: number = DURABILITY_FSYNCED): ShardRig {
  return ShardRig.started([[TOPIC, 0, durability]], options);
}

function partitionOf(rig: ShardRig): Partition {
  const partition = rig.shard.state.find(TOPIC, 0);
  if (partition === undefined) throw new Error("no such partition");
  return partition;
}

function recordOf(offset: number): string {
  return `${offset}`.padEnd(100, ".");
}

/** Publishes batches of `perBatch` records, one by one. */
function fill(rig: ShardRig, records: number, perBatch = 1): void {
  const end = partitionOf(rig).nextOffset + records;
  while (partitionOf(rig).nextOffset < end) {
    const first = partitionOf(rig).nextOffset;
    const values = Array.from({ length: perBatch }, (_, i) => recordOf(first + i));
    rig.gateway.publish({ topicId: TOPIC, count: perBatch, stored: batchOf(values) });
    rig.settle();
  }
  rig.gateway.events.length = 0;
}

/** The values of the batch that was located. */
function located(rig: ShardRig): string[] {
  const { bytes, start, storedBytes, count } = rig.shard.entries;
  const values = valuesOf(new Uint8Array(bytes.subarray(start, start + storedBytes)));
  if (values.length !== count) throw new Error(`${values.length} records, not ${count}`);
  return values;
}

/** Locates until it is not coming any more. @returns the outcome, and how often it was coming */
function locate(rig: ShardRig, offset: number): { outcome: number; waited: number } {
  for (let waited = 0; waited < 100; waited += 1) {
    const outcome = rig.shard.entries.locate(partitionOf(rig), offset);
    if (outcome !== COMING) return { outcome, waited };
    let arrived = 0;
    rig.shard.entries.onArrived = () => {
      arrived += 1;
    };
    rig.settle();
    if (arrived !== 1) throw new Error(`arrived ${arrived} times`);
  }
  throw new Error(`offset ${offset} never comes`);
}

t.test("what is in the tail cache is here at once, and where it lies", async (t) => {
  const rig = rigOf();
  fill(rig, 12, 3);
  for (let offset = 0; offset < 12; offset += 1) {
    const first = offset - (offset % 3);
    t.equal(rig.shard.entries.locate(partitionOf(rig), offset), HERE);
    t.match(rig.shard.entries, { baseOffset: first, count: 3, appendTimeMs: rig.clock.wallMs() });
    t.same(located(rig), [recordOf(first), recordOf(first + 1), recordOf(first + 2)]);
  }
  t.equal(rig.serveFetches(), 0);
  t.equal(rig.shard.entries.fetchedBytes, 0);
});

t.test(
  "what has left it is fetched, from the journal and from settled files, and nobody sees the seam",
  async (t) => {
    for (const settling of [
      { batchBytes: 1e9, afterMs: 1e12 },
      { batchBytes: 1, afterMs: 0, adoptBytesMin: 1 },
    ]) {
      const rig = rigOf({ inboundBytes: 8192, outboundBytes: 32_768, segmentSizeBytes: 16_384, settling });
      fill(rig, 400, 2);
      let waits = 0;
      for (let offset = 0; offset < 400; offset += 1) {
        const { outcome, waited } = locate(rig, offset);
        waits += waited;
        const first = offset - (offset % 2);
        if (outcome !== HERE || rig.shard.entries.baseOffset !== first)
          t.fail(`offset ${offset}: ${outcome}`);
        t.same(located(rig), [recordOf(first), recordOf(first + 1)]);
      }
      t.ok(waits > 5 && waits < 40, `${waits} fetches`);
      t.ok(rig.shard.entries.fetchedBytes > 50_000);
      for (let offset = 0; offset < 400; offset += 7) t.equal(locate(rig, offset).waited, 0, "it stays here");
    }
  },
);

t.test("an idle reader has the next stretch ready", async (t) => {
  const settling = { batchBytes: 1, afterMs: 0, adoptBytesMin: 1 };
  const rig = rigOf({ inboundBytes: 8192, outboundBytes: 32_768, segmentSizeBytes: 16_384, settling });
  fill(rig, 400, 2);
  let ready = 0;
  for (let offset = 0; offset < 400; offset += 1) {
    t.equal(locate(rig, offset).outcome, HERE);
    t.equal(located(rig)[offset % 2], recordOf(offset));
    if (rig.reader.readAhead()) ready += 1;
  }
  t.ok(ready > 5, `${ready} times`);
});

t.test("nothing that is not committed is shown", async (t) => {
  const rig = rigOf();
  fill(rig, 4);
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf([recordOf(4)]) });
  rig.cycle();
  t.equal(partitionOf(rig).nextOffset, 5);
  t.equal(rig.shard.entries.locate(partitionOf(rig), 4), COMING);
  t.equal(rig.serveFetches(), 0);
  rig.settle();
  t.equal(rig.shard.entries.locate(partitionOf(rig), 4), HERE);
});

t.test("what the shard appends itself is fetched, and what is around it cached", async (t) => {
  const rig = rigOf();
  fill(rig, 3);
  rig.shard.ownAppends.append(partitionOf(rig), 2, batchOf([recordOf(3), recordOf(4)]));
  rig.shard.ownAppends.append(partitionOf(rig), 1, batchOf([recordOf(5)]));
  rig.settle();
  fill(rig, 2);
  for (let offset = 0; offset < 8; offset += 1) {
    const { outcome, waited } = locate(rig, offset);
    t.equal(outcome, HERE);
    t.equal(waited, offset === 3 ? 1 : 0, `offset ${offset}`);
    t.equal(located(rig)[offset - rig.shard.entries.baseOffset], recordOf(offset));
  }
});

t.test("gaps and what was given up are gone, cached or not", async (t) => {
  const rig = rigOf({ inboundBytes: 8192, segmentSizeBytes: 16_384 }, DURABILITY_MEMORY);
  fill(rig, 3);
  rig.clock.advance(2000);
  rig.settle();
  rig.crash("process");
  rig.open();
  rig.reconcile([[TOPIC, 0, DURABILITY_MEMORY]]);
  const next = partitionOf(rig).nextOffset;
  t.ok(next > 1_000_000);
  const check = (): void => {
    t.equal(locate(rig, 2).outcome, HERE);
    for (const offset of [3, 1000, next - 1]) {
      t.equal(locate(rig, offset).outcome, GONE);
      t.match(rig.shard.entries, { nextOffset: next, reason: PROGRESS_GAP });
    }
  };
  check();
  fill(rig, 1);
  check();
  t.equal(locate(rig, next).outcome, HERE);
  fill(rig, 100);
  t.equal(locate(rig, next).waited, 1);
  check();
  rig.answer("truncate", [TOPIC, [[0, next + 5]]]);
  for (const offset of [0, 3, next + 4]) {
    t.equal(locate(rig, offset).outcome, GONE);
    t.match(rig.shard.entries, { nextOffset: next + 5, reason: PROGRESS_RETENTION });
  }
  t.equal(locate(rig, next + 5).outcome, HERE);
});

t.test("a full ring, for requests or for answers, delays fetches", async (t) => {
  const rig = ShardRig.started(
    Array.from({ length: 40 }, (_, i) => [TOPIC, i, DURABILITY_FSYNCED] as const),
    { inboundBytes: 8192, outboundBytes: 4096, readerRingBytes: 2048 },
  );
  const partitions = [...rig.shard.state.partitions.values()].filter(({ topicId }) => topicId === TOPIC);
  for (let round = 0; round < 4; round += 1) {
    for (const { partition } of partitions) {
      const stored = batchOf([`${partition}/${round}`.padEnd(200, ".")]);
      rig.gateway.publish({ topicId: TOPIC, partition, count: 1, stored });
      rig.settle();
    }
  }
  const missing = new Set(partitions);
  for (let rounds = 0; missing.size > 0; rounds += 1) {
    if (rounds > 1000) throw new Error("fetches hang");
    for (const partition of missing) {
      if (rig.shard.entries.locate(partition, 0) !== HERE) continue;
      t.match(located(rig), [`${partition.partition}/0`.padEnd(200, ".")]);
      missing.delete(partition);
    }
    rig.shard.doWork();
    // The shard seldom looks at what has come.
    rig.reader.serveFetches(100);
    if (rounds % 3 === 0) rig.reader.fetchAnswers.poll();
  }
  t.pass("all of them came");
});

t.test("damage is told to nobody as a gap", async (t) => {
  const rig = rigOf({ inboundBytes: 4096 });
  fill(rig, 100);
  for (const { path, size } of rig.storage.contents()) {
    const bytes = Buffer.alloc(size);
    const fd = rig.storage.open(path, "read");
    rig.storage.read(fd, bytes, 0, size, 0);
    rig.storage.close(fd);
    const at = bytes.indexOf(recordOf(20));
    if (at >= 0) rig.storage.flipBit(path, at + 50, 3);
  }
  t.equal(locate(rig, 19).outcome, HERE);
  t.equal(rig.shard.entries.locate(partitionOf(rig), 20), COMING);
  rig.settle();
  t.equal(rig.readFailures.length, 1);
  t.equal(rig.shard.entries.locate(partitionOf(rig), 20), COMING);
  t.equal(locate(rig, 40).outcome, HERE, "others go on");
  rig.settle();
  t.equal(rig.readFailures.length, 1, "it is not read again at once");
});
