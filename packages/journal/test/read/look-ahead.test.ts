import { readFileSync, rmSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { ColdReader, type OpenMode, READ_DAMAGED, RealStorage, SeededRandom } from "../../src/internal.ts";
import type { SettledFile } from "../../src/settled/manifest-layout.ts";
import { DelegatingStorage } from "../broken-storage.ts";
import { FakeDisk, FakeSlots } from "./fake-disk.ts";
import { deliveredEntries, type ModelEntry, SettledJournal } from "./settled-journal.ts";

const READ_BYTES = 4_000;

/** Knows which file a descriptor is of, also when it is closed. */
class NamedStorage extends DelegatingStorage {
  readonly paths: Map<number, string> = new Map();
  bytesRead = 0;

  override open(path: string, mode: OpenMode): number {
    const fd = super.open(path, mode);
    this.paths.set(fd, path);
    return fd;
  }

  override read(fd: number, target: Uint8Array, start: number, length: number, position: number): number {
    this.bytesRead += length;
    return super.read(fd, target, start, length, position);
  }
}

interface Streamed {
  readonly world: SettledJournal;
  readonly model: readonly ModelEntry[];
  readonly slots: FakeSlots;
  readonly reader: ColdReader;
  readonly storage: NamedStorage;
  /** What was asked for up to now, as path and range. */
  asked(): { path: string; from: number; to: number }[];
}

let isBusy = false;

/** Two topics in turn in many settled files, and a stream of the first. */
function streamed(t: Test, how: "sort" | "two" | "adopt" = "sort"): Streamed {
  const shards = t.testdir();
  const world = new SettledJournal(shards, new SeededRandom(8));
  for (let i = 0; i < 320; i++) {
    world.append(1, 0, 500);
    world.append(2, 1, 100);
  }
  while (world.backlog > 1) world.settle(2, how);
  isBusy = false;
  const slots = new FakeSlots(8, 1_600);
  const disk = new FakeDisk(
    () => isBusy,
    () => true,
    slots,
  );
  const storage = new NamedStorage(new RealStorage());
  const reader = new ColdReader(storage, shards, disk);
  const asked: ReturnType<Streamed["asked"]> = [];
  slots.takes = () => {
    collect();
    return true;
  };
  const collect = (): void => {
    for (const { fd, position, length } of slots.begun.splice(0)) {
      asked.push({ path: storage.paths.get(fd) as string, from: position, to: position + length });
    }
  };
  t.teardown(() => {
    reader.close();
    world.journal.close();
  });
  const model = world.model.get("1:0") as ModelEntry[];
  return {
    world,
    model,
    slots,
    reader,
    storage,
    asked: () => {
      collect();
      return asked;
    },
  };
}

/** One read. @returns base offsets, and where the stream goes on; or the outcome of a read that brought nothing */
function readOn(
  { world, model, reader }: Streamed,
  offset: number,
): { offsets: number[]; next: number; outcome: number } {
  const target = Buffer.alloc(READ_BYTES);
  const outcome = reader.read(world.request(1, 0, offset), target, 0, READ_BYTES);
  if (outcome <= 0) return { offsets: [], next: Math.max(reader.firstOffset, offset + 1), outcome };
  const offsets = deliveredEntries(target, 0, outcome, model).map(({ baseOffset }) => baseOffset);
  return { offsets, next: reader.nextOffset, outcome };
}

function readThrough(stream: Streamed, step: (offset: number) => void = () => undefined): number[] {
  const last = stream.model.at(-1) as ModelEntry;
  const offsets: number[] = [];
  for (let offset = 0; offset < last.baseOffset + last.count; ) {
    const read = readOn(stream, offset);
    offsets.push(...read.offsets);
    offset = read.next;
    step(offset);
  }
  return offsets;
}

const baseOffsets = (model: readonly ModelEntry[]): number[] => model.map(({ baseOffset }) => baseOffset);

/** Ranges of the topic in a sorted file, which are one. */
function runOf(world: SettledJournal, file: SettledFile): { path: string; from: number; to: number } {
  const path = world.path(file);
  const bytes = readFileSync(path);
  let from = -1;
  let to = -1;
  for (let at = 64; at < file.footerAt; ) {
    const size = (bytes.readInt32LE(at) + 7) & -8;
    if (bytes.readUInt32LE(at + 32) === 1) {
      if (from < 0) from = at;
      to = at + size;
    }
    at += size;
  }
  return { path, from, to };
}

t.test("what a stream reads next is asked for once, in its order, from file to file", async (t) => {
  for (const how of ["sort", "two"] as const) {
    const stream = streamed(t, how);
    const { world, model } = stream;
    t.same(readThrough(stream), baseOffsets(model), how);
    const asked = stream.asked();
    const runs = world.files.map((file) => runOf(world, file)).filter(({ from }) => from >= 0);
    t.ok(runs.length >= 3);
    for (const [index, run] of runs.entries()) {
      const inFile = asked.filter(({ path }) => path === run.path);
      let at = index === 0 ? (inFile[0]?.from ?? -1) : run.from;
      if (index === 0) t.ok(at >= run.from && at <= run.from + READ_BYTES + 1_000, "behind the first read");
      for (const { from, to } of inFile) {
        t.equal(from, at, "each byte once");
        at = to;
      }
      t.equal(at, run.to, `all of file ${index}, and nothing of others`);
    }
    t.same(
      [...new Set(asked.map(({ path }) => path))],
      runs.map(({ path }) => path),
      "file after file",
    );
  }
});

t.test("in a segment that was adopted, too", async (t) => {
  const stream = streamed(t, "adopt");
  t.same(readThrough(stream), baseOffsets(stream.model));
  const asked = stream.asked();
  t.equal(new Set(asked.map(({ path }) => path)).size, stream.world.files.length);
});

t.test("nothing is asked for while others write", async (t) => {
  const stream = streamed(t);
  isBusy = true;
  t.same(readThrough(stream), baseOffsets(stream.model));
  t.same(stream.asked(), []);
});

t.test("what was read ahead is not read again, but for entries that stand in two pieces", async (t) => {
  const stream = streamed(t, "two");
  isBusy = true;
  readThrough(stream);
  const without = stream.storage.bytesRead;
  stream.reader.close();
  isBusy = false;
  stream.storage.bytesRead = 0;
  readThrough(stream);
  t.ok(stream.storage.bytesRead < 0.7 * without, `${stream.storage.bytesRead} of ${without}`);
});

t.test("what is refused is asked for again", async (t) => {
  const stream = streamed(t);
  stream.slots.takes = () => false;
  const first = readOn(stream, 0);
  t.same(stream.asked(), []);
  stream.slots.takes = () => true;
  readOn(stream, first.next);
  t.ok(stream.asked().length > 0);
});

t.test("files that go away, or are damaged, when they have been asked for", async (t) => {
  const replaced = streamed(t);
  let isDone = false;
  const offsets = readThrough(replaced, () => {
    const second = replaced.world.path(replaced.world.files[1] as SettledFile);
    if (isDone || !replaced.asked().some(({ path }) => path === second)) return;
    isDone = true;
    replaced.world.rewrite(1, 1);
  });
  t.ok(isDone);
  t.same(offsets, baseOffsets(replaced.model), "one that was rewritten: the stream goes on in the new one");

  const removed = streamed(t);
  const gone = removed.world.path(removed.world.files[2] as SettledFile);
  rmSync(gone);
  let offset = 0;
  let outcome = 1;
  for (; outcome > 0; ) {
    const read = readOn(removed, offset);
    outcome = read.outcome;
    if (outcome > 0) offset = read.next;
  }
  const before = offset;
  t.ok(before > 0, "a file that is missing is the matter of the read that gets there, not of the look");
  t.equal(removed.reader.error?.code, "READ_FAILED");

  const damaged = streamed(t);
  const run = runOf(damaged.world, damaged.world.files[1] as SettledFile);
  const fine: number[] = [];
  let isDamaged = false;
  let next = 0;
  for (;;) {
    const read = readOn(damaged, next);
    if (read.outcome === READ_DAMAGED) break;
    fine.push(...read.offsets);
    next = read.next;
    if (isDamaged || !damaged.asked().some(({ path }) => path === run.path)) continue;
    isDamaged = true;
    const bytes = readFileSync(run.path);
    bytes[run.from + 88] = (bytes[run.from + 88] as number) ^ 4;
    writeFileSync(run.path, bytes);
  }
  t.same(damaged.reader.error?.details, { file: run.path, position: run.from });
  t.same(fine, baseOffsets(damaged.model).slice(0, fine.length), "all in front of the damage was delivered");
  t.equal(next, baseOffsets(damaged.model)[fine.length]);
});

t.test("a stream that goes away leaves nothing behind that others meet", async (t) => {
  const stream = streamed(t);
  const first = readOn(stream, 0);
  readOn(stream, first.next);
  t.ok(stream.asked().length > 0);
  t.same(readThrough(stream), baseOffsets(stream.model), "the next one begins anew");
});
