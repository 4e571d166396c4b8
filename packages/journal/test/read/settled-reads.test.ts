import { readFileSync, rmSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import {
  ColdReader,
  type ColdReadRequest,
  JOURNAL_LIMITS,
  READ_DAMAGED,
  READ_FAILED,
  READ_MOVED,
  READ_UNFINISHED,
  RealStorage,
  SeededRandom,
  TIME_NOT_FOUND,
} from "../../src/internal.ts";
import { FileIndexCache, NOT_IN_FILE } from "../../src/read/file-index-cache.ts";
import { OpenFileCache } from "../../src/read/open-file-cache.ts";
import { ReadPositions } from "../../src/read/read-positions.ts";
import { SettledCatalog } from "../../src/read/settled-catalog.ts";
import { manifestFileName, type SettledFile } from "../../src/settled/manifest-layout.ts";
import { deliveredEntries, type ModelEntry, SettledJournal, SHARD_ID } from "./settled-journal.ts";

const ENTRY = 500;

interface Settled {
  readonly world: SettledJournal;
  readonly shards: string;
  readonly model: readonly ModelEntry[];
  open(): ColdReader;
}

/** Two topics in turn, in settled files of two segments each, and some segments that are not settled. */
function settled(t: Test, how: "sort" | "adopt" = "sort", entries = 320): Settled {
  const shards = t.testdir();
  const world = new SettledJournal(shards, new SeededRandom(5));
  for (let i = 0; i < entries; i++) {
    world.append(1, 0, ENTRY);
    world.append(2, 1, 100);
  }
  while (world.backlog > 3) world.settle(2, how);
  const readers: ColdReader[] = [];
  t.teardown(() => {
    for (const reader of readers) reader.close();
    world.journal.close();
  });
  const open = (): ColdReader => {
    const reader = new ColdReader(new RealStorage(), shards);
    readers.push(reader);
    return reader;
  };
  return { world, shards, model: world.model.get("1:0") as ModelEntry[], open };
}

/** Reads topic 1 to the end, past gaps. @returns base offsets, and the first outcome that was an error */
function readThrough(
  { world, model }: Settled,
  reader: ColdReader,
  from = 0,
): { offsets: number[]; outcome: number; at: number } {
  const target = Buffer.alloc(20_000);
  const end = lastOffset(model);
  const offsets: number[] = [];
  let offset = from;
  while (offset < end) {
    const outcome = reader.read(world.request(1, 0, offset), target, 0, 10_000);
    if (outcome < 0) return { offsets, outcome, at: offset };
    for (const { baseOffset } of deliveredEntries(target, 0, outcome, model)) offsets.push(baseOffset);
    offset = outcome === 0 ? Math.max(offset + 1, reader.firstOffset) : reader.nextOffset;
  }
  return { offsets, outcome: 0, at: offset };
}

function lastOffset(model: readonly ModelEntry[]): number {
  const last = model.at(-1) as ModelEntry;
  return last.baseOffset + last.count;
}

const baseOffsets = (entries: readonly ModelEntry[]): number[] => entries.map(({ baseOffset }) => baseOffset);

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 4;
  writeFileSync(path, bytes);
}

t.test("a stream goes through settled files into the journal without a gap or a repeat", async (t) => {
  for (const how of ["sort", "adopt"] as const) {
    const files = settled(t, how);
    t.ok(files.world.files.length >= 3);
    t.same(readThrough(files, files.open()).offsets, baseOffsets(files.model), how);
  }
});

t.test("what is settled while a stream reads is read once", async (t) => {
  const files = settled(t);
  const { world, model } = files;
  const reader = files.open();
  const target = Buffer.alloc(20_000);
  const offsets: number[] = [];
  for (let offset = 0; offset < lastOffset(model); ) {
    // The shard locates, and the journal is settled before the reader gets there.
    const request = world.request(1, 0, offset);
    if (offsets.length > 20 && world.backlog > 0 && offsets.length % 4 === 0) world.settle(1);
    const outcome = reader.read(request, target, 0, 1_200);
    if (outcome < 0 && outcome !== READ_MOVED) t.fail(`${offset}: ${outcome} ${reader.error?.message}`);
    if (outcome > 0) offsets.push(...baseOffsets(deliveredEntries(target, 0, outcome, model)));
    offset = outcome === 0 ? Math.max(offset + 1, reader.firstOffset) : Math.max(offset, reader.nextOffset);
  }
  t.same(offsets, baseOffsets(model));
  t.equal(world.backlog, 0);
});

t.test("damage in a settled file concerns the reads of it alone", async (t) => {
  const files = settled(t);
  const file = files.world.files[1] as SettledFile;
  const path = files.world.path(file);
  const bytes = readFileSync(path);
  // The eleventh entry, which is one of topic 1: its payload, then its header.
  let at = 64;
  for (let i = 0; i < 10; i++) at += (bytes.readInt32LE(at) + 7) & -8;
  const bad = Number(bytes.readBigUInt64LE(at + 40));
  for (const within of [200, 60]) {
    flip(path, at + within);
    const { offsets, outcome, at: stoppedAt } = readThrough(files, files.open());
    t.equal(outcome, READ_DAMAGED);
    t.equal(stoppedAt, bad);
    t.same(
      offsets,
      baseOffsets(files.model).filter((offset) => offset < bad),
    );
    const reader = files.open();
    reader.read(files.world.request(1, 0, bad), Buffer.alloc(9_000), 0, 9_000);
    t.same(reader.error?.details, { file: path, position: at });
    const next = files.world.files[2] as SettledFile;
    const behind = files.model.filter(({ timeMs }) => timeMs > next.firstTime + 20);
    const rest = readThrough(files, files.open(), (behind[0] as ModelEntry).baseOffset);
    t.same(rest.offsets, baseOffsets(behind), "what stands behind it is read");
    flip(path, at + within);
  }
  t.equal(readThrough(files, files.open()).outcome, 0);
});

t.test("does without footers", async (t) => {
  for (const how of ["sort", "adopt"] as const) {
    const files = settled(t, how, 200);
    for (const file of files.world.files) {
      const path = files.world.path(file);
      const size = readFileSync(path).length;
      // Header, table, points.
      for (const at of [file.footerAt + 20, file.footerAt + 64 + 20, size - 40]) {
        flip(path, at);
        const reader = files.open();
        t.same(readThrough(files, reader).offsets, baseOffsets(files.model));
        const wanted = files.model[10] as ModelEntry;
        const first = files.model.find(({ timeMs }) => timeMs >= wanted.timeMs) as ModelEntry;
        t.equal(
          reader.findTime(files.world.timeRequest(1, 0, wanted.timeMs), wanted.timeMs),
          first.baseOffset,
        );
        flip(path, at);
      }
    }
  }
});

t.test("damage is no gap, even if the footer is lost with it", async (t) => {
  const files = settled(t);
  const file = files.world.files[1] as SettledFile;
  const path = files.world.path(file);
  flip(path, file.footerAt + 20);
  flip(path, 64 + 20);
  const { offsets, outcome, at } = readThrough(files, files.open());
  t.equal(outcome, READ_DAMAGED);
  t.same(
    offsets,
    baseOffsets(files.model).filter((offset) => offset < at),
  );
  // Somewhere in the lost file, where nothing is indexed.
  const next = files.model.find(({ timeMs }) => timeMs > file.lastTime) as ModelEntry;
  const lost = files.model.findLast(({ baseOffset }) => baseOffset < next.baseOffset - 8) as ModelEntry;
  const reader = files.open();
  t.equal(
    reader.read(files.world.request(1, 0, lost.baseOffset), Buffer.alloc(9_000), 0, 9_000),
    READ_DAMAGED,
  );
  t.equal(reader.error?.details.file, path);
  t.equal(reader.findTime(files.world.timeRequest(1, 0, file.lastTime), file.lastTime), READ_DAMAGED);
});

t.test("a manifest that is damaged or missing fails the read, for now", async (t) => {
  const files = settled(t, "sort");
  const path = `${files.world.directory}/${manifestFileName(1)}`;
  const intact = readFileSync(path);
  const target = Buffer.alloc(9_000);
  const request = files.world.request(1, 0, 0);
  flip(path, 60);
  const reader = files.open();
  t.equal(reader.read(request, target, 0, 9_000), READ_FAILED);
  t.ok(reader.error?.retriable);
  t.equal(reader.error?.details.file, path);
  rmSync(path);
  t.equal(reader.read(request, target, 0, 9_000), READ_FAILED);
  writeFileSync(path, intact);
  t.ok(reader.read(request, target, 0, 9_000) > 0);
  const later = { ...request, settled: { epoch: 1, generation: files.world.generation + 1, endOffset: 1 } };
  t.equal(reader.read(later, target, 0, 9_000), READ_FAILED, "a generation that is not there");
});

t.test("looks again when files go away under it", async (t) => {
  const files = settled(t);
  const { world, model } = files;
  const target = Buffer.alloc(9_000);
  const second = (request: ColdReadRequest, reader: ColdReader): number => {
    reader.closeIdle();
    reader.closeIdle();
    t.equal(reader.openFiles, 0);
    return reader.read(request, target, 0, 9_000);
  };
  const reader = files.open();
  const old = world.request(1, 0, 0);
  t.ok(reader.read(old, target, 0, 9_000) > 0);
  world.rewrite(0, 2);
  t.ok(second(old, reader) > 0, "a file that was rewritten");
  t.equal(reader.firstOffset, model[0]?.baseOffset);

  world.epoch = 2;
  world.swap();
  world.rewrite(0, 1);
  t.ok(second(old, reader) > 0, "by another owner");

  const before = world.request(1, 0, 0);
  world.drop(1);
  const left = world.model.get("1:0") as ModelEntry[];
  t.ok(second(before, reader) > 0);
  t.equal(reader.firstOffset, left[0]?.baseOffset, "what was dropped is not found");
  t.ok(reader.mayBeDropped);

  rmSync(world.path(world.files[0] as SettledFile));
  const lost = world.request(1, 0, (left[0] as ModelEntry).baseOffset);
  t.equal(second(lost, reader), READ_FAILED, "a file that must be there");
});

t.test(
  "looks for a segment that was settled among the settled files, or sends back to the shard",
  async (t) => {
    const files = settled(t);
    const { world, model } = files;
    const target = Buffer.alloc(9_000);
    const offset = world.firstUnsettled(1, 0);
    const request = world.request(1, 0, offset);
    t.equal(request.settled, undefined);
    const time = model.find(({ baseOffset }) => baseOffset === offset) as ModelEntry;
    const timeRequest = world.timeRequest(1, 0, time.timeMs);
    const at = world.files.length;
    world.settle(world.backlog);
    t.ok(files.open().read(request, target, 0, 9_000) > 0);
    const first = model.find(({ timeMs }) => timeMs >= time.timeMs) as ModelEntry;
    t.equal(files.open().findTime(timeRequest, time.timeMs), first.baseOffset);

    // Now nothing of it is left.
    world.drop(at + 1);
    t.equal(files.open().read(request, target, 0, 9_000), READ_MOVED);
    const reader = files.open();
    t.equal(reader.findTime(timeRequest, time.timeMs), TIME_NOT_FOUND);
  },
);

t.test("a search through many files is interrupted", async (t) => {
  const shards = t.testdir();
  const world = new SettledJournal(shards, new SeededRandom(8), 4_096);
  world.append(3, 0, 100);
  while (world.files.length < 3 * JOURNAL_LIMITS.coldReaderLoadsPerTurn) {
    world.append(3, 1, 3_000);
    while (world.backlog > 0) world.settle(1);
  }
  world.append(3, 0, 100);
  for (let i = 0; i < 4; i++) world.append(3, 1, 3_000);
  while (world.backlog > 0) world.settle(1);
  const reader = new ColdReader(new RealStorage(), shards);
  t.teardown(() => {
    reader.close();
    world.journal.close();
  });
  const target = Buffer.alloc(1_000);
  const model = world.model.get("3:0") as ModelEntry[];
  const [first, last] = model as [ModelEntry, ModelEntry];
  const request = world.request(3, 0, last.baseOffset);
  let turns = 0;
  let outcome = reader.read(request, target, 0, 1_000);
  for (; outcome === READ_UNFINISHED; outcome = reader.read(request, target, 0, 1_000)) turns++;
  t.ok(turns >= 1 && turns < 6, `${turns} turns`);
  t.equal(outcome, 24 + last.payload.length);

  const fresh = new ColdReader(new RealStorage(), shards);
  t.teardown(() => fresh.close());
  let found = fresh.findTime(world.timeRequest(3, 0, last.timeMs), last.timeMs);
  while (found === READ_UNFINISHED) {
    found = fresh.findTime(world.timeRequest(3, 0, last.timeMs), last.timeMs);
  }
  t.equal(found, last.baseOffset);

  // The first of a replay: found at once; what follows is far away.
  const replay = new ColdReader(new RealStorage(), shards);
  t.teardown(() => replay.close());
  outcome = replay.read(world.request(3, 0, 0), target, 0, 1_000);
  while (outcome === READ_UNFINISHED) outcome = replay.read(world.request(3, 0, 0), target, 0, 1_000);
  t.ok(outcome > 0);
  t.equal(replay.firstOffset, first.baseOffset);
});

t.test("caches stay within their bounds", async (t) => {
  const { world, shards } = settled(t);
  const storage = new RealStorage();
  const table = new SettledCatalog(storage, shards).at(SHARD_ID, 1, world.generation);
  t.equal(table.count, world.files.length);
  const indexes = new FileIndexCache(storage, 1_500);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < table.count; at++) {
      const source = table.source(at);
      t.not(indexes.bounds(source, 1, 0), undefined);
      t.equal(indexes.bounds(source, 7, 0), NOT_IN_FILE);
      t.ok((indexes.points(source, 1, 0)?.count ?? 0) > 0);
      t.ok(indexes.cachedBytes <= 1_500);
    }
  }
  t.ok(indexes.loads > table.count, "what was evicted is read again");

  const positions = new ReadPositions(3);
  const position = { path: "a", at: 1, settled: undefined, exhausted: false };
  for (let offset = 0; offset < 10; offset++) positions.put(3, 1, 0, offset, position);
  t.equal(positions.count, 3);
  t.equal(positions.take(3, 1, 0, 6), undefined);
  t.equal(positions.take(3, 1, 0, 7), position);
  t.equal(positions.take(3, 1, 0, 7), undefined, "a position goes with its stream");

  const open = new OpenFileCache(storage);
  for (let round = 0; round < 2 * JOURNAL_LIMITS.coldReaderFilesMax; round++) {
    const path = `${shards}/copy-${round}`;
    writeFileSync(path, readFileSync(table.source(0).path));
    open.open(path);
  }
  t.equal(open.count, JOURNAL_LIMITS.coldReaderFilesMax);
  open.close();
  t.equal(open.count, 0);
});
