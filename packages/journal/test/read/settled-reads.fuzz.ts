import t, { type Test } from "tap";
import {
  ColdReader,
  JOURNAL_LIMITS,
  READ_NEEDS_ROOM,
  RealStorage,
  SeededRandom,
  TIME_NOT_FOUND,
} from "../../src/internal.ts";
import { seedOfRun } from "../seed-of-run.ts";
import { FakeDisk, FakeSlots } from "./fake-disk.ts";
import { deliveredEntries, type ModelEntry, SettledJournal } from "./settled-journal.ts";

const PARTITIONS = [
  [1, 0],
  [1, 1],
  [2, 0],
  [2, 1],
  [3, 0],
  [3, 1],
] as const;
const HIGH = 1e9;

/** Reads at a random offset, or where a stream goes on, and compares with the model. @returns where it goes on */
function readOnce(
  t: Test,
  world: SettledJournal,
  reader: ColdReader,
  random: SeededRandom,
  key: readonly [number, number],
  offset: number,
): number {
  const [topicId, partition] = key;
  const model = world.model.get(`${topicId}:${partition}`) ?? [];
  const limitOffset = random.chance(0.2) ? random.below(lastOffset(model) + 2) : HIGH;
  const maxBytes = random.chance(0.3) ? 50 + random.below(800) : 1_000 + random.below(40_000);
  const target = Buffer.alloc(64_000);
  const start = random.below(9);
  const request = world.request(topicId, partition, offset, { limitOffset });
  const outcome = reader.read(request, target, start, maxBytes);
  const visible = model.filter(
    ({ baseOffset, count }) => baseOffset + count > offset && baseOffset + count <= limitOffset,
  );
  const first = visible[0];
  const what = `${topicId}:${partition} at ${offset} below ${limitOffset}`;
  if (outcome === READ_NEEDS_ROOM) {
    if (
      first === undefined ||
      reader.neededBytes !== 24 + first.payload.length ||
      maxBytes >= reader.neededBytes
    ) {
      t.fail(`${what}: needs ${reader.neededBytes} of ${maxBytes}`);
    }
    return offset;
  }
  if (outcome < 0) t.fail(`${what}: ${outcome} ${reader.error?.message}`);
  const entries = deliveredEntries(target, start, start + outcome, model);
  const expected: ModelEntry[] = [];
  let bytes = 0;
  for (const entry of visible) {
    const before = expected.at(-1);
    if (before !== undefined && before.baseOffset + before.count !== entry.baseOffset) break;
    bytes += 24 + entry.payload.length;
    if (bytes > maxBytes || expected.length === entries.length) break;
    expected.push(entry);
  }
  if (entries.length === 0 ? first !== undefined : expected.length !== entries.length) {
    t.fail(`${what}: ${entries.length} entries, ${visible.length} in the model`);
  }
  for (let i = 0; i < entries.length; i++) {
    const [found, wanted] = [entries[i] as ModelEntry, expected[i] as ModelEntry];
    if (
      found.baseOffset !== wanted.baseOffset ||
      found.count !== wanted.count ||
      found.timeMs !== wanted.timeMs ||
      !found.payload.equals(wanted.payload)
    ) {
      t.fail(`${what}: entry ${i} at offset ${found.baseOffset} is not what was written`);
    }
  }
  if (first !== undefined && reader.firstOffset !== first.baseOffset) {
    t.fail(`${what}: first offset ${reader.firstOffset}, not ${first.baseOffset}`);
  }
  const isThere = first !== undefined && first.baseOffset <= offset;
  if (reader.mayBeDropped && isThere) t.fail(`${what}: nothing was dropped there`);
  return reader.nextOffset;
}

function lastOffset(model: readonly ModelEntry[]): number {
  const last = model.at(-1);
  return last === undefined ? 0 : last.baseOffset + last.count;
}

function findOnce(
  t: Test,
  world: SettledJournal,
  reader: ColdReader,
  key: readonly [number, number],
  timeMs: number,
): void {
  const [topicId, partition] = key;
  const model = world.model.get(`${topicId}:${partition}`) ?? [];
  const outcome = reader.findTime(world.timeRequest(topicId, partition, timeMs), timeMs);
  if (outcome < 0 && outcome !== TIME_NOT_FOUND)
    t.fail(`time ${timeMs}: ${outcome} ${reader.error?.message}`);
  const at = outcome === TIME_NOT_FOUND ? reader.nextOffset : outcome;
  const found = model.find(({ baseOffset, count }) => baseOffset + count > at);
  const wanted = model.find((entry) => entry.timeMs >= timeMs);
  if (found !== wanted) {
    t.fail(`${topicId}:${partition} time ${timeMs}: ${found?.baseOffset}, not ${wanted?.baseOffset}`);
  }
}

const seeds = seedOfRun();
for (let run = 0; run < seeds.count(12); run++) {
  const seed = seeds.first + run;
  t.test(`reads what was written, wherever it has gone: seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed);
    const world = new SettledJournal(t.testdir(), random);
    const slots = new FakeSlots(1 + random.below(8), 8 * (1 + random.below(2_000)));
    const disk = new FakeDisk(
      () => random.chance(0.3),
      () => random.chance(0.5),
      slots,
    );
    slots.takes = () => random.chance(0.95);
    slots.works = () => random.chance(0.95);
    const shards = world.directory.slice(0, -5);
    const reader = new ColdReader(new RealStorage(), shards, random.chance(0.8) ? disk : undefined);
    const streams = Array.from({ length: 8 }, () => ({ key: random.pick(PARTITIONS), offset: 0 }));
    world.appendRandom(150);
    for (let step = 0; step < 400; step++) {
      if (random.chance(0.5)) slots.fill(random.below(slots.count));
      const choice = random.below(100);
      if (choice < 8) world.appendRandom(1 + random.below(20));
      else if (choice < 12 && world.backlog > 0) {
        world.settle(1 + random.below(Math.min(3, world.backlog)), random.pick(["sort", "two", "adopt"]));
      } else if (choice < 13 && world.files.length > 2) {
        const at = random.below(world.files.length - 1);
        // Files of one stretch go together, or the order of their positions would not be that of the offsets.
        const base = (world.files[at] as { basePosition: number }).basePosition;
        if (at === 0 || (world.files[at - 1] as { basePosition: number }).basePosition !== base) {
          let count = 1;
          while ((world.files[at + count] as { basePosition: number } | undefined)?.basePosition === base)
            count++;
          world.rewrite(at, count);
        }
      } else if (choice < 14 && world.files.length > 3) {
        world.drop(1);
      } else if (choice < 24) {
        const key = random.pick(PARTITIONS);
        const model = world.model.get(`${key[0]}:${key[1]}`) ?? [];
        const known = model.length === 0 ? 990 : random.pick(model).timeMs;
        findOnce(
          t,
          world,
          reader,
          key,
          random.chance(0.2) ? random.below(6_000) : known + random.below(3) - 1,
        );
      } else if (choice < 34) {
        const key = random.pick(PARTITIONS);
        const end = lastOffset(world.model.get(`${key[0]}:${key[1]}`) ?? []);
        if (end > 0) readOnce(t, world, reader, random, key, random.below(end));
      } else {
        const stream = random.pick(streams);
        const end = lastOffset(world.model.get(`${stream.key[0]}:${stream.key[1]}`) ?? []);
        if (stream.offset >= end) stream.offset = 0;
        if (end > 0) {
          const next = readOnce(t, world, reader, random, stream.key, stream.offset);
          // Nothing was read: past a gap, or a batch that needs more room.
          stream.offset = next > stream.offset ? next : stream.offset + 1;
        }
      }
    }
    t.ok(reader.openFiles <= JOURNAL_LIMITS.coldReaderFilesMax);
    reader.close();
    world.journal.close();
  });
}
