import t, { type Test } from "tap";
import {
  runSettleJob,
  SeededRandom,
  type SettledFile,
  type SettleResult,
  SimulatedStorage,
} from "../../src/internal.ts";
import { seedOfRun } from "../seed-of-run.ts";
import {
  type Batch,
  buildJournal,
  bytesOf,
  DIRECTORY,
  jobOf,
  livingBatches,
  readResults,
  rowsOf,
  summary,
} from "./settled-fixture.ts";

/** Settles and rewrites random journals in every way and compares what is left with what was written. */
const seeds = seedOfRun();

for (let i = 0; i < seeds.count(30); i++) {
  const seed = seeds.first + i;
  t.test(`seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed);
    const storage = new SimulatedStorage(random);
    storage.shortWriteChance = 0.1;
    const topics = 1 + random.below(5);
    const partitions = 1 + random.below(6);
    const sizeMax = random.pick([30, 2_000, 30_000]);
    const { batches, sources } = buildJournal(storage, random, {
      segments: 1 + random.below(5),
      segmentSizeBytes: sizeMax < 1_000 ? 65_536 : random.pick([65_536, 262_144]),
      topics,
      partitions,
      payloadBytes: (random) => 1 + random.below(sizeMax),
      runLength: random.pick([1, 1, 20, 500]),
      stateChance: random.pick([0, 0.05, 0.5]),
    });
    const first = randomRows(random, topics, partitions);
    const adoptBytesMin = random.pick([0, 100_000, Number.MAX_SAFE_INTEGER]);
    const method = random.chance(0.2) ? "adopt" : "auto";
    if (random.chance(0.3)) removeSidecars(storage);
    const results: SettleResult[] = [];
    for (let done = 0; done < sources.length; ) {
      const left = sources.slice(done);
      const result = runSettleJob(storage, jobOf(left, { partitions: first, adoptBytesMin, method }));
      results.push(result);
      done = sources.findIndex(({ endPosition }) => endPosition === result.endPosition) + 1;
      t.ok(done > 0, "a job ends where a segment ends");
    }
    compare(t, storage, results, batches, first);
    t.equal(storage.openCount, 0, "all files are closed");

    // Once more, with other log starts and fewer partitions, each time over some of the files that there are.
    const second = moreIsDead(random, first);
    const files = results.flatMap((result) => result.files);
    const rewritten: SettleResult[] = [];
    let firstPart = files.length;
    for (const source of stretches(files)) {
      const fileSources = source.map((file) => ({ kind: "settled", file }) as const);
      const result = runSettleJob(storage, jobOf(fileSources, { partitions: second, firstPart }));
      firstPart += result.files.length;
      rewritten.push(result);
      t.same([...result.removed], bytesOf(readResults(storage, [{ ...result, files: source }])), "removed");
    }
    compare(t, storage, rewritten, batches, second);
    t.equal(storage.openCount, 0, "all files are closed");
  });
}

function compare(
  t: Test,
  storage: SimulatedStorage,
  results: readonly SettleResult[],
  written: readonly Batch[],
  rows: Float64Array,
): void {
  const files = readResults(storage, results);
  const kept = files.flatMap((file) => file.batches);
  t.same(summary(livingBatches(kept, rows)), summary(livingBatches(written, rows)), "what lives is there");
  for (const result of results) {
    t.same([...result.added], bytesOf(readResults(storage, [result])), "added");
    for (const file of result.files.filter(({ adopted }) => !adopted)) {
      const batches = readResults(storage, [{ ...result, files: [file] }]).flatMap((read) => read.batches);
      t.equal(livingBatches(batches, rows).length, batches.length, "nothing dead is copied");
      t.equal(new Set(batches.map((batch) => retentionOf(rows, batch))).size, 1, "one retention class");
    }
  }
}

function randomRows(random: SeededRandom, topics: number, partitions: number): Float64Array {
  const rows: [number, number, number, number][] = [];
  for (let topicId = 0; topicId < topics; topicId++) {
    const retentionMs = random.pick([0, 0, 1000]);
    for (let partition = 0; partition < partitions; partition++) {
      if (random.chance(0.1)) continue;
      rows.push([topicId, partition, random.chance(0.3) ? random.below(200) : 0, retentionMs]);
    }
  }
  return rowsOf(rows);
}

function moreIsDead(random: SeededRandom, rows: Float64Array): Float64Array {
  const kept: [number, number, number, number][] = [];
  for (let at = 0; at < rows.length; at += 4) {
    const [topicId, partition, start, retentionMs] = rows.subarray(at, at + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    if (random.chance(0.9)) kept.push([topicId, partition, start + random.below(300), retentionMs]);
  }
  return rowsOf(kept);
}

function retentionOf(rows: Float64Array, { topicId, partition }: Batch): number | undefined {
  for (let at = 0; at < rows.length; at += 4) {
    if (rows[at] === topicId && rows[at + 1] === partition) return rows[at + 3];
  }
  return undefined;
}

/** Files that belong together. */
function stretches(files: readonly SettledFile[]): SettledFile[][] {
  const byBase = new Map<number, SettledFile[]>();
  for (const file of files) byBase.set(file.basePosition, [...(byBase.get(file.basePosition) ?? []), file]);
  return [...byBase.values()];
}

function removeSidecars(storage: SimulatedStorage): void {
  for (const name of storage.list(DIRECTORY))
    if (name.endsWith(".idx")) storage.unlink(`${DIRECTORY}/${name}`);
}
