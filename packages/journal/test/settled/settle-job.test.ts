import { crc32 } from "node:zlib";
import t from "tap";
import {
  JOURNAL_LIMITS,
  RealStorage,
  runSettleJob,
  SeededRandom,
  type SettleJob,
  type SettleResult,
  SimulatedStorage,
  type Storage,
} from "../../src/internal.ts";
import { segmentFileName, sidecarFileName } from "../../src/segment/segment-layout.ts";
import { SegmentWindow } from "../../src/segment/segment-window.ts";
import { EntryList, LIST_FULL, LISTED } from "../../src/settled/entry-list.ts";
import { openEntrySource } from "../../src/settled/entry-source.ts";
import { MadeFiles } from "../../src/settled/made-files.ts";
import { PacedWriter } from "../../src/settled/pacing.ts";
import { PartitionRows } from "../../src/settled/partition-rows.ts";
import { SETTLE_FIELDS } from "../../src/settled/settle-jobs.ts";
import { sortEntries } from "../../src/settled/sort-entries.ts";
import { readFile } from "../../src/storage/storage.ts";
import { DelegatingStorage } from "../broken-storage.ts";
import { placeFence } from "../placed-fence.ts";
import {
  type BuiltJournal,
  buildJournal,
  DIRECTORY,
  type JournalPlan,
  jobOf,
  livingBatches,
  readResults,
  rowsOf,
  summary,
} from "./settled-fixture.ts";

const SMALL: JournalPlan = {
  segments: 3,
  segmentSizeBytes: 16_384,
  topics: 2,
  partitions: 3,
  payloadBytes: (random) => 1 + random.below(900),
  runLength: 2,
  stateChance: 0.05,
};
/** Each segment is fit to be read alone. */
const DENSE: JournalPlan = {
  ...SMALL,
  segments: 2,
  segmentSizeBytes: 262_144,
  topics: 1,
  partitions: 1,
  payloadBytes: () => 9_000,
  stateChance: 0,
};
const SMALL_ROWS: Float64Array = rowsOf(
  [0, 1].flatMap((topicId) => [0, 1, 2].map((p) => [topicId, p, 0, 0] as const)),
);
const DENSE_ROWS: Float64Array = rowsOf([[0, 0, 0, 0]]);

interface World extends BuiltJournal {
  readonly storage: SimulatedStorage;
  readonly job: SettleJob;
}

function world(plan: JournalPlan, partitions: Float64Array, overrides: Partial<SettleJob> = {}): World {
  const random = new SeededRandom(7);
  const storage = new SimulatedStorage(random);
  const built = buildJournal(storage, random, plan);
  return { ...built, storage, job: jobOf(built.sources, { partitions, ...overrides }) };
}

function settledNames(storage: Storage): string[] {
  return storage.list(DIRECTORY).filter((name) => name.endsWith(".settled"));
}

/** Checksums of the segments up to their ends. */
function contentsOf(storage: Storage, { sources }: BuiltJournal): number[] {
  return sources.map(({ basePosition, epoch, endPosition }) => {
    const bytes = readFile(storage, `${DIRECTORY}/${segmentFileName(basePosition, epoch)}`);
    return crc32(bytes?.subarray(0, endPosition - basePosition) ?? "");
  });
}

function readBack(storage: Storage, result: SettleResult): string[] {
  return summary(readResults(storage, [result]).flatMap(({ batches }) => batches));
}

for (const [name, plan, rows] of [
  ["sorted", SMALL, SMALL_ROWS],
  ["adopted", DENSE, DENSE_ROWS],
] as const) {
  t.test(`a machine that stops while segments are ${name}`, async (t) => {
    const { storage, job, ...built } = world(plan, rows);
    const before = contentsOf(storage, built);
    const expected = summary(built.batches);
    for (let call = 0; ; call++) {
      const copy = storage.clone(new SeededRandom(call));
      copy.shortWriteChance = 0.3;
      copy.crashAtCall = call;
      let isDone = true;
      try {
        runSettleJob(copy, job);
      } catch {
        isDone = false;
      }
      copy.restart(call % 3 === 0 ? "process" : "power");
      copy.shortWriteChance = 0;
      t.same(contentsOf(copy, built), before, `call ${call}: the segments are as they were`);
      const again = runSettleJob(copy, job);
      t.same(again.files[0]?.adopted, name === "adopted");
      t.same(readBack(copy, again), expected, `call ${call}: the second attempt succeeds`);
      copy.restart("power");
      t.same(readBack(copy, again), expected, `call ${call}: what it made is durable`);
      if (isDone) return;
    }
  });

  t.test(`a full disk while segments are ${name}`, async (t) => {
    const { storage, job, ...built } = world(plan, rows);
    const used = [...storage.contents()].reduce((sum, { size }) => sum + size, 0);
    const before = contentsOf(storage, built);
    let isDone = false;
    for (let room = 0; !isDone; room += 1_500) {
      const copy = storage.clone(new SeededRandom(room));
      copy.capacityBytes = used + room;
      try {
        runSettleJob(copy, job);
        isDone = true;
      } catch (error) {
        t.match(error, { code: "ENOSPC" });
        t.same(settledNames(copy), [], "nothing is left over");
      }
      t.equal(copy.openCount, 0, "all files are closed");
      t.same(contentsOf(copy, built), before);
    }
  });

  t.test(`a former owner whose segments would be ${name}`, async (t) => {
    const { storage, job, ...built } = world(plan, rows);
    const before = contentsOf(storage, built);
    placeFence(storage, DIRECTORY, { shardId: 3, epoch: 2, journalId: job.journalId });
    t.throws(() => runSettleJob(storage, job), { code: "JOURNAL_FAILED" });
    t.same(settledNames(storage), []);
    t.same(contentsOf(storage, built), before);
    t.equal(storage.openCount, 0);
  });
}

t.test("what an earlier attempt left under a name is replaced, not written over", async (t) => {
  const { storage, job, ...built } = world(DENSE, DENSE_ROWS);
  const before = contentsOf(storage, built);
  t.same(
    runSettleJob(storage, job).files.map(({ adopted }) => adopted),
    [true, true],
  );
  const sorted = runSettleJob(storage, { ...job, adoptBytesMin: Number.MAX_SAFE_INTEGER });
  t.same(
    sorted.files.map(({ adopted, part }) => [adopted, part]),
    [[false, 0]],
  );
  t.same(contentsOf(storage, built), before, "the segment behind the old name is as it was");
  t.same(readBack(storage, sorted), summary(built.batches));
  t.throws(
    () =>
      runSettleJob(
        storage,
        jobOf([{ kind: "settled", file: sorted.files[0] as never }], { partitions: DENSE_ROWS }),
      ),
    /cannot replace itself/,
  );
});

t.test("adopting once more changes no byte", async (t) => {
  const { storage, job, sources } = world(DENSE, DENSE_ROWS);
  const path = `${DIRECTORY}/${segmentFileName(0, 1)}`;
  const first = runSettleJob(storage, job);
  const bytes = crc32(readFile(storage, path) ?? "");
  storage.unlink(`${DIRECTORY}/${sidecarFileName(0, 1)}`);
  t.same(runSettleJob(storage, job), first);
  t.equal(crc32(readFile(storage, path) ?? ""), bytes);
  t.equal(first.endPosition, sources.at(-1)?.endPosition);
});

t.test("files that cannot have two names", async (t) => {
  class WithoutLinks extends DelegatingStorage {
    override link(): void {
      throw Object.assign(new Error("no links"), { code: "EPERM" });
    }
  }
  const { storage, job, batches } = world(DENSE, DENSE_ROWS);
  const result = runSettleJob(new WithoutLinks(storage), job);
  storage.restart("power");
  t.same(
    result.files.map(({ adopted }) => adopted),
    [true, true],
  );
  t.same(readBack(storage, result), summary(batches));
});

t.test("damage", async (t) => {
  const { storage, job, batches, sources } = world(SMALL, SMALL_ROWS);
  const victim = batches.find(({ position }) => position > (sources[1]?.basePosition as number) + 3_000);
  const position = victim?.position as number;
  const base = sources[1]?.basePosition as number;
  const file = `${DIRECTORY}/${segmentFileName(base, 1)}`;
  storage.flipBit(file, position - base + 90, 3);

  const first = runSettleJob(storage, job);
  t.equal(first.endPosition, base, "a sort ends before a damaged segment");
  t.same(readBack(storage, first), summary(batches.filter((batch) => batch.position < base)));
  const rest = { ...job, sources: sources.slice(1) };
  const damaged = { code: "JOURNAL_DAMAGED", details: { file, position } };
  t.throws(() => runSettleJob(storage, rest), damaged);
  t.equal(storage.openCount, 0);
  const partitions = SMALL_ROWS.filter((_, i) => SMALL_ROWS[i - (i % 4)] !== victim?.topicId);
  t.doesNotThrow(
    () => runSettleJob(storage, { ...rest, partitions }),
    "damage in what is dead does not matter",
  );

  const adopted = runSettleJob(storage, { ...rest, sources: sources.slice(1, 2), method: "adopt" });
  t.equal(adopted.files[0]?.adopted, true, "the segment can still be adopted as it is");
  t.throws(() => readResults(storage, [adopted]), /payload checksum/);
  const again = jobOf([{ kind: "settled", file: adopted.files[0] as never }], {
    partitions: SMALL_ROWS,
    firstPart: 1,
  });
  const settled = `${DIRECTORY}/0${String(base).padStart(15, "0")}-00000001-0000.settled`;
  t.throws(() => runSettleJob(storage, again), {
    code: "JOURNAL_DAMAGED",
    details: { file: settled, position: position - base },
  });

  storage.flipBit(file, position - base + 40, 3);
  t.throws(() => runSettleJob(storage, rest), damaged, "damage in a header");
  storage.unlink(`${DIRECTORY}/${sidecarFileName(base, 1)}`);
  const last = { ...rest, sources: sources.slice(1, 2), method: "adopt" } as const;
  t.doesNotThrow(() => runSettleJob(storage, last), "the footer of the first attempt is there");
  storage.flipBit(file, adopted.files[0]?.footerAt as number, 0);
  t.throws(() => runSettleJob(storage, last), damaged, "nothing says what the segment holds");
  t.throws(() => runSettleJob(storage, { ...job, sources: [] }), RangeError);
});

t.test("a segment is fit to be read alone", async (t) => {
  const isAdopted = (plan: JournalPlan, rows: Float64Array, adoptBytesMin = 0): unknown => {
    const { storage, job } = world(plan, rows, { adoptBytesMin });
    return runSettleJob(storage, job).files[0]?.adopted;
  };
  t.equal(isAdopted(DENSE, DENSE_ROWS), true);
  t.equal(isAdopted(DENSE, DENSE_ROWS, 300_000), false, "too small");
  t.equal(isAdopted({ ...DENSE, stateChance: 0 }, rowsOf([[1, 0, 0, 0]])), undefined, "nothing lives");
  t.equal(isAdopted(DENSE, rowsOf([[0, 0, 150, 0]])), false, "much is dead");
  t.equal(isAdopted({ ...DENSE, partitions: 20 }, rowsOf(twenty(0))), false, "short stretches");
  const runs = { ...DENSE, segmentSizeBytes: 2 ** 22, runLength: 50, partitions: 2 };
  const both = (retentionMs: number) =>
    rowsOf([
      [0, 0, 0, 0],
      [0, 1, 0, retentionMs],
    ]);
  t.equal(isAdopted(runs, both(0)), true, "long stretches of two partitions");
  t.equal(isAdopted(runs, both(5)), false, "which expire at different times");
});

t.test("a segment of several topics is adopted only where one has nearly all of it", async (t) => {
  const segmentSizeBytes = 2 ** 22;
  const plan = { ...DENSE, segments: 1, segmentSizeBytes, topics: 3, payloadBytes: () => 40_000 };
  const settle = (part: number, living: number[]): string[] => {
    const topicOf = (random: SeededRandom): number => (random.chance(part) ? 1 + random.below(2) : 0);
    const { storage, job } = world(
      { ...plan, topicOf },
      rowsOf(living.map((topicId) => [topicId, 0, 0, 0] as const)),
    );
    const { files } = runSettleJob(storage, { ...job, adoptBytesMin: segmentSizeBytes / 4 });
    return files.map(({ adopted, firstTopicId, lastTopicId }) =>
      adopted ? "adopted" : `${firstTopicId}-${lastTopicId}`,
    );
  };
  t.same(settle(0.06, [0, 1, 2]), ["adopted"], "little of others");
  t.same(
    settle(0.2, [0, 1, 2]),
    ["0-0", "1-2"],
    "a fifth of two others, which have less than a file's least size",
  );
  t.same(settle(0.2, [0]), ["adopted"], "what is dead already does not count");
  t.same(settle(2 / 3, [0, 1, 2]), ["0-0", "1-1", "2-2"], "three alike");
});

function twenty(retentionMs: number): [number, number, number, number][] {
  return Array.from({ length: 20 }, (_, partition) => [0, partition, 0, retentionMs]);
}

/** Collects what a sort makes with a list of at most so many entries. */
function sortWith({ storage, job }: World, entriesMax: number): { outcomes: number[]; result: SettleResult } {
  const rows = new PartitionRows(job.partitions, SETTLE_FIELDS);
  const list = new EntryList(new SegmentWindow(storage, 4_096), rows, entriesMax);
  const opened = job.sources.map((source) => openEntrySource(storage, job, source));
  const outcomes = opened.map((source, i) => list.add(source, i === 0));
  const writer = new PacedWriter(storage, 0, () => {});
  const made = new MadeFiles(storage, job);
  const endPosition = list.sources.length;
  const files = sortEntries({ storage, job, rows, writer, made, basePosition: 0, endPosition }, list);
  for (const { fd } of opened) storage.close(fd);
  const none = new Float64Array(0);
  return { outcomes, result: { kind: "settled", endPosition, files, added: none, removed: none } };
}

t.test("a list of entries that is too long", async (t) => {
  const built = world(SMALL, SMALL_ROWS);
  const { storage, batches, sources } = built;
  const inFirst = batches.filter(({ position }) => position < (sources[0]?.endPosition as number));
  const inTwo = batches.filter(({ position }) => position < (sources[1]?.endPosition as number));
  const all = sortWith(built, 100_000);
  t.same(all.outcomes, [LISTED, LISTED, LISTED]);
  t.same(readBack(storage, all.result), summary(batches));
  const two = sortWith(built, inTwo.length + 20);
  t.same(two.outcomes, [LISTED, LISTED, LIST_FULL], "further segments are not taken");
  t.same(readBack(storage, two.result), summary(inTwo), "and nothing of them is");
  const none = sortWith(built, 10);
  t.same(none.outcomes, [LISTED, LIST_FULL, LIST_FULL], "the first is taken, and read again");
  t.same(readBack(storage, none.result), summary(inFirst));
});

t.test("a topic with much in the stretch has a file of its own; memory is bounded", async (t) => {
  /** The most that buffers take at any read or write. */
  class Watched extends DelegatingStorage {
    peak = 0;
    override read(
      fd: number,
      target: Uint8Array,
      targetStart: number,
      length: number,
      position: number,
    ): number {
      this.look();
      return super.read(fd, target, targetStart, length, position);
    }
    override write(
      fd: number,
      source: Uint8Array,
      sourceStart: number,
      length: number,
      position: number,
    ): number {
      this.look();
      return super.write(fd, source, sourceStart, length, position);
    }
    private look(): void {
      this.peak = Math.max(this.peak, process.memoryUsage().arrayBuffers);
    }
  }
  const directory = `${t.testdir()}/0003`;
  const random = new SeededRandom(5);
  const storage = new Watched(new RealStorage());
  const { batches, sources } = buildJournal(storage, random, {
    ...SMALL,
    directory,
    topics: 4,
    // Most, some, and too little, though more than the least size of a file of its own.
    topicOf: (random) => {
      const percent = random.below(100);
      return [70, 92, 96, 100].findIndex((end) => percent < end);
    },
    partitions: 2,
    segments: 5,
    segmentSizeBytes: 2 ** 23,
    payloadBytes: (random) => (random.chance(0.002) ? 2_000_000 : 400 + random.below(20_000)),
  });
  const partitions = rowsOf([
    [0, 0, 0, 0],
    [0, 1, 0, 0],
    [1, 0, 0, 0],
    [1, 1, 0, 0],
    [2, 0, 0, 0],
    [2, 1, 0, 0],
    [3, 0, 0, 0],
  ]);
  const rest = livingBatches(batches, partitions);
  const bytes = (topicId: number): number =>
    rest.reduce((sum, batch) => sum + (batch.topicId === topicId ? batch.payload.length : 0), 0);
  const { settledTopicBytesMin, settledTopicPart } = JOURNAL_LIMITS;
  const total = [0, 1, 2, 3].reduce((sum, topicId) => sum + bytes(topicId), 0);
  const isLarge = (topicId: number): boolean => bytes(topicId) >= total * settledTopicPart;
  t.same([0, 1, 2, 3].filter(isLarge), [0, 1]);
  t.ok(bytes(1) < 16 * 2 ** 20 && bytes(2) >= settledTopicBytesMin, `${bytes(1)} and ${bytes(2)} bytes`);
  const before = process.memoryUsage().arrayBuffers;
  storage.peak = 0;
  const job = jobOf(sources, { directory, partitions, adoptBytesMin: Number.MAX_SAFE_INTEGER });
  const paused: number[] = [];
  const result = runSettleJob(storage, { ...job, bytesPerSecond: 2 ** 20 }, (ms) => paused.push(ms));
  t.ok(storage.peak - before < 24 * 2 ** 20, `buffers took ${storage.peak - before} bytes`);
  const topicIds = result.files.map(({ firstTopicId, lastTopicId }) => [firstTopicId, lastTopicId].join());
  t.same(topicIds, ["0,0", "1,1", "2,3"]);
  t.same(summary(readResults(storage, [result], directory).flatMap((file) => file.batches)), summary(rest));
  const written = result.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const pausedMs = paused.reduce((sum, ms) => sum + ms, 0);
  t.equal(Math.round(pausedMs), Math.round((written / 2 ** 20) * 1000), "the pace is a bound");
});
