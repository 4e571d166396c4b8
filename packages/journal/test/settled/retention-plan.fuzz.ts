import t from "tap";
import {
  type RetentionJob,
  type RetentionPlan,
  runRetentionPlan,
  SeededRandom,
  type SettledFile,
  SimulatedStorage,
  type Storage,
} from "../../src/internal.ts";
import { IndexPoints } from "../../src/lookup/index-points.ts";
import { encodeFileIndex } from "../../src/lookup/sidecar-layout.ts";
import { encodeSettledTrailer, settledFileName } from "../../src/settled/settled-layout.ts";
import { writeFully } from "../../src/storage/storage.ts";
import { seedOfRun } from "../seed-of-run.ts";

/** Plans retention over random files and compares with a naive model. Only the files' footers exist. */
const seeds = seedOfRun();
const DIRECTORY = "/d";

interface Section {
  readonly file: number;
  readonly topicId: number;
  readonly partition: number;
  readonly endOffset: number;
  readonly lastTime: number;
  readonly bytes: number;
}

interface Row {
  readonly topicId: number;
  readonly partition: number;
  readonly logStart: number;
  readonly retentionMs: number;
  readonly keepBytes: number;
}

function writeFooter(
  storage: Storage,
  number: number,
  sections: readonly (Section & { first: number })[],
): SettledFile {
  const basePosition = number * 8_192;
  const stretch = { shardId: 0, epoch: 1, basePosition, endPosition: basePosition + 8_192 };
  const partitions = sections.map(({ topicId, partition, first, endOffset, lastTime, bytes }) => {
    const points = new IndexPoints();
    points.add(first, endOffset - first, lastTime, 64, bytes);
    return { topicId, partition, points };
  });
  const footer = encodeFileIndex(stretch, partitions);
  const footerAt = 4_096;
  const file: SettledFile = {
    ...stretch,
    part: 0,
    sizeBytes: footerAt + footer.length + 32,
    footerAt,
    entryBytes: sections.reduce((sum, { bytes }) => sum + bytes, 0),
    firstTime: 0,
    lastTime: 0,
    expiryTime: 0,
    firstTopicId: sections[0]?.topicId ?? 0,
    lastTopicId: sections.at(-1)?.topicId ?? 0,
    partitionCount: sections.length,
    adopted: false,
    records: 0,
  };
  const fd = storage.open(`${DIRECTORY}/${settledFileName(file)}`, "create");
  writeFully(storage, fd, footer, 0, footer.length, footerAt);
  const trailer = encodeSettledTrailer({ footerAt, footerLength: footer.length });
  writeFully(storage, fd, trailer, 0, trailer.length, footerAt + footer.length);
  storage.close(fd);
  return file;
}

function naivePlan(
  sections: readonly Section[],
  rows: readonly Row[],
  files: number,
  nowMs: number,
  dropThrough: number,
) {
  const moves: number[] = [];
  const living = new Array<number>(files).fill(0);
  const looks = new Array<number>(files).fill(Number.POSITIVE_INFINITY);
  for (const row of rows) {
    const own = sections.filter(
      ({ topicId, partition, endOffset }) =>
        topicId === row.topicId && partition === row.partition && endOffset > row.logStart,
    );
    let keptFrom = own.length;
    for (let kept = 0; keptFrom > 0 && kept < row.keepBytes; keptFrom--)
      kept += own[keptFrom - 1]?.bytes as number;
    let dropped = 0;
    for (const { lastTime, file } of own) {
      const isExpired = row.retentionMs > 0 && lastTime < nowMs - row.retentionMs;
      const isForced = file < dropThrough && row.topicId !== 0;
      if (!isExpired && !isForced && dropped >= keptFrom) break;
      dropped++;
    }
    if (dropped > 0) moves.push(row.topicId, row.partition, own[dropped - 1]?.endOffset as number);
    for (const { file, bytes, lastTime } of own.slice(dropped)) {
      living[file] = (living[file] as number) + bytes;
      if (row.retentionMs > 0) looks[file] = Math.min(looks[file] as number, lastTime + row.retentionMs + 1);
    }
  }
  const freed = new Map<string, number>();
  for (const { file, topicId, partition, bytes } of sections) {
    const key = `${topicId}:${partition}`;
    if (living[file] === 0) freed.set(key, (freed.get(key) ?? 0) + bytes);
  }
  return {
    moves,
    files: living.flatMap((bytes, i) => [bytes, looks[i]]),
    freed: [...freed].map(([key, bytes]) => `${key}=${bytes}`).sort(),
  };
}

function plain({ moves, files, freed }: RetentionPlan) {
  const rows: string[] = [];
  for (let at = 0; at < freed.length; at += 3) rows.push(`${freed[at]}:${freed[at + 1]}=${freed[at + 2]}`);
  return { moves: [...moves], files: [...files], freed: rows.sort() };
}

for (let i = 0; i < seeds.count(300); i++) {
  const seed = seeds.first + i;
  t.test(`seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed);
    const storage = new SimulatedStorage(random);
    storage.mkdir(DIRECTORY);
    const topics = 1 + random.below(4);
    const partitions = 1 + random.below(3);
    const ends = new Map<string, number>();
    const all: Section[] = [];
    const files: SettledFile[] = [];
    let time = 1_000;
    for (let file = 0; file < 1 + random.below(8); file++) {
      const sections: (Section & { first: number })[] = [];
      for (let topicId = 0; topicId < topics; topicId++) {
        for (let partition = 0; partition < partitions; partition++) {
          if (random.chance(0.3)) continue;
          const first = (ends.get(`${topicId}:${partition}`) ?? 0) + random.below(2) * 5;
          const endOffset = first + 1 + random.below(30);
          ends.set(`${topicId}:${partition}`, endOffset);
          time += random.pick([0, 7, 20, -30]);
          const bytes = 8 * (1 + random.below(100));
          sections.push({ file, topicId, partition, first, endOffset, lastTime: time, bytes });
        }
      }
      files.push(writeFooter(storage, file, sections));
      all.push(...sections);
    }
    const rows: Row[] = [];
    const byBytes = random.chance(0.7);
    for (let topicId = 0; topicId < topics; topicId++) {
      const retentionMs = random.pick([0, 50, 200]);
      for (let partition = 0; partition < partitions; partition++) {
        if (random.chance(0.1)) continue;
        const keepBytes = byBytes && random.chance(0.5) ? random.below(2_000) : Number.POSITIVE_INFINITY;
        rows.push({
          topicId,
          partition,
          logStart: random.chance(0.5) ? random.below(80) : 0,
          retentionMs,
          keepBytes,
        });
      }
    }
    const nowMs = time + random.below(150);
    const dropThrough = random.chance(0.3) ? random.below(files.length + 1) : 0;
    const job: RetentionJob = {
      kind: "plan-retention",
      directory: DIRECTORY,
      shardId: 0,
      files,
      partitions: Float64Array.from(
        rows.flatMap((row) => [row.topicId, row.partition, row.logStart, row.retentionMs, row.keepBytes]),
      ),
      nowMs,
      dropThrough,
    };
    const plan = runRetentionPlan(storage, job);
    t.same(plain(plan), naivePlan(all, rows, files.length, nowMs, dropThrough));
    t.equal(storage.openCount, 0);
  });
}

t.test("a file with a damaged footer stays, and the others do not wait for it", async (t) => {
  const storage = new SimulatedStorage(new SeededRandom(1));
  storage.mkdir(DIRECTORY);
  const section = { topicId: 1, partition: 0, bytes: 80 };
  const files = [0, 1, 2].map((file) =>
    writeFooter(storage, file, [
      { ...section, file, first: file * 10, endOffset: file * 10 + 10, lastTime: 5 + file },
    ]),
  );
  storage.flipBit(`${DIRECTORY}/${settledFileName(files[0] as SettledFile)}`, 4_096 + 70, 1);
  const partitions = Float64Array.of(1, 0, 0, 100, Number.POSITIVE_INFINITY);
  const kind = "plan-retention";
  const job = {
    kind,
    directory: DIRECTORY,
    shardId: 0,
    files,
    partitions,
    nowMs: 107,
    dropThrough: 0,
  } as const;
  t.same(plain(runRetentionPlan(storage, job)), {
    moves: [1, 0, 20],
    files: [80, Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY, 80, 108],
    freed: ["1:0=80"],
  });
  storage.unlink(`${DIRECTORY}/${settledFileName(files[1] as SettledFile)}`);
  t.throws(() => runRetentionPlan(storage, job), { code: "ENOENT" });
});
