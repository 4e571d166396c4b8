import { readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import t from "tap";
import {
  InlineBackground,
  type Journal,
  type JournalOptions,
  type OpenMode,
  RealStorage,
  SETTLE_FIELDS,
  SeededRandom,
} from "../../src/internal.ts";
import { decodeManifest, encodeManifest } from "../../src/settled/manifest-layout.ts";
import { DelegatingStorage } from "../broken-storage.ts";
import { HeldBackground, openFixture, stageTexts, textsOf } from "../journal-fixture.ts";
import { batchPayload } from "../simulated-world.ts";

const SEGMENT = 16_384;
/** One topic with two partitions, of which nothing expires. */
const OWNER = { settleRows: () => Float64Array.from([1, 0, 0, 0, 1, 1, 0, 0]) };
if (OWNER.settleRows().length % SETTLE_FIELDS !== 0) throw new Error("rows are not whole");

class SettlingFixture {
  readonly directory: string;
  readonly clock: { nowMs: number } = { nowMs: 0 };
  readonly storage: RealStorage = new RealStorage();
  journal: Journal;
  private readonly random = new SeededRandom(1);
  private readonly options: Partial<JournalOptions>;
  private readonly offsets = [0, 0];

  constructor(directory: string, options: Partial<JournalOptions> = {}) {
    this.directory = directory;
    this.options = options;
    this.journal = this.open();
  }

  open(): Journal {
    const { journal } = openFixture(this.directory, {
      segmentSizeBytes: SEGMENT,
      clock: { monotonicMs: () => this.clock.nowMs },
      ...this.options,
    });
    this.journal = journal;
    return journal;
  }

  reopen(): Journal {
    this.journal.close();
    this.open().startSettling(OWNER);
    return this.journal;
  }

  /** Batches of both partitions, 1 800 bytes with their headers. */
  stage(): void {
    for (const partition of [0, 1, 0]) {
      const offset = this.offsets[partition] as number;
      this.offsets[partition] = offset + 1;
      this.journal.stageBatch(1, partition, offset, 1, 1000 + offset, batchPayload(this.random, 500));
    }
  }

  /** Ends a segment with these, everything committed. */
  endSegment(): void {
    this.stage();
    this.journal.roll();
    stageTexts(this.journal, "");
    this.commit();
  }

  commit(): void {
    this.journal.flush();
    this.journal.requestSync();
    this.journal.committedPosition();
  }

  checkpoint(): void {
    this.journal.checkpoint(Buffer.alloc(8), false);
    stageTexts(this.journal, "");
    this.commit();
  }

  names(pattern: RegExp): string[] {
    return readdirSync(this.directory)
      .filter((name) => pattern.test(name))
      .sort();
  }

  /** Places of the batches that can be located in the journal itself. */
  firstUnsettled(): (number | undefined)[] {
    return [0, 1].map((partition) => this.journal.index.firstOffset(1, partition));
  }
}

t.test("settles when enough waits, or for long enough", async (t) => {
  const settling = { batchBytes: 4_000, afterMs: 1_000 };
  const f = new SettlingFixture(`${t.testdir()}/0003`, { settling });
  f.endSegment();
  t.equal(f.journal.settledGeneration, 0, "nobody has started it");
  f.journal.startSettling(OWNER);
  f.commit();
  t.equal(f.journal.settledGeneration, 0, "too little waits");
  const backlog = f.journal.backlogBytes;
  t.ok(backlog > 1_500 && backlog < 4_000, `${backlog} bytes wait`);
  f.clock.nowMs = 999;
  f.commit();
  t.equal(f.journal.settledGeneration, 0);
  f.clock.nowMs = 1_000;
  f.commit();
  t.equal(f.journal.settledGeneration, 1, "it has waited");
  t.equal(f.journal.settledPosition, backlog);
  t.equal(f.journal.backlogBytes, 0);
  t.same(f.firstUnsettled(), [undefined, undefined]);
  f.clock.nowMs = 1_500;
  f.endSegment();
  t.equal(f.journal.settledGeneration, 1);
  t.same(f.firstUnsettled(), [2, 1]);
  f.endSegment();
  f.endSegment();
  t.equal(f.journal.settledGeneration, 2, "three of them are enough");
  t.equal(f.journal.settledFiles.length, 2);
  t.equal(f.journal.retainedBytes(1, 0), 8 * 600);
  t.equal(f.journal.retainedBytes(1, 1), 4 * 600);
  f.journal.index.dropTopic(1);
  t.equal(f.journal.retainedBytes(1, 0), 0);
  f.journal.close();
});

t.test("a dense segment is settled at once, without a copy", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, { segmentSizeBytes: 262_144 });
  f.journal.startSettling(OWNER);
  for (let i = 0; i < 4; i++) {
    f.journal.stageBatch(1, 0, i, 1, 1000, batchPayload(new SeededRandom(i), 60_000));
  }
  t.equal(f.journal.activeSegmentAgeMs(5), 5);
  f.journal.roll();
  stageTexts(f.journal, "");
  t.equal(f.journal.activeSegmentAgeMs(7), 7);
  f.commit();
  t.match(f.journal.settledFiles, [{ adopted: true, records: 4 }]);
  f.journal.close();
});

t.test("a dense segment of two topics waits for others, and each topic gets a file of its own", async (t) => {
  const settling = { batchBytes: 2 * 4_000_000 };
  const f = new SettlingFixture(`${t.testdir()}/0003`, { segmentSizeBytes: 2 ** 23, settling });
  f.journal.startSettling({ settleRows: () => Float64Array.from([1, 0, 0, 0, 2, 0, 0, 0]) });
  const endSegment = (first: number): void => {
    for (let i = first; i < first + 50; i++) {
      const payload = batchPayload(new SeededRandom(i), 40_000);
      for (const topicId of [1, 2]) f.journal.stageBatch(topicId, 0, i, 1, 1000, payload);
    }
    f.journal.roll();
    stageTexts(f.journal, "");
    f.commit();
  };
  endSegment(0);
  t.same(f.journal.settledFiles, []);
  t.same(
    f.journal.index.sealedSegments.map(({ dense }) => dense),
    [false],
  );
  endSegment(50);
  t.match(f.journal.settledFiles, [
    { adopted: false, firstTopicId: 1, lastTopicId: 1, records: 100 },
    { adopted: false, firstTopicId: 2, lastTopicId: 2, records: 100 },
  ]);
  f.journal.close();
});

t.test("the last segment of an earlier owner is copied, others are not", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, { settling: { batchBytes: 1, adoptBytesMin: 1 } });
  f.journal.adoptOnly = true;
  f.journal.startSettling(OWNER);
  f.endSegment();
  t.match(f.journal.settledFiles, [{ adopted: true }]);
  f.stage();
  f.commit();
  f.reopen().adoptOnly = true;
  f.endSegment();
  f.commit();
  t.match(
    f.journal.settledFiles.map(({ adopted }) => adopted),
    [true, false, true],
  );
  t.equal(f.journal.settlingFailure, undefined);
  f.journal.close();
});

t.test("nothing changes before the manifest is durable, and failures are tried again", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const background = new HeldBackground();
  const f = new SettlingFixture(directory, { background, settling: { batchBytes: 1 } });
  f.journal.startSettling(OWNER);
  f.endSegment();
  const next = (): string => {
    const job = background.jobs[0]?.job;
    return job === undefined
      ? "nothing"
      : job.kind === "write-file"
        ? job.path.slice(directory.length + 1)
        : job.kind;
  };
  const run = (error?: Error): void => {
    const first = background.jobs.shift();
    if (first === undefined) throw new Error("no job waits");
    if (error === undefined) new InlineBackground(f.storage).submit(first.job, first.done);
    else first.done(error);
  };
  t.match(next(), /idx$/);
  run();
  f.commit();
  t.equal(next(), "settle");
  run(new Error("the pool is gone"));
  t.match(f.journal.settlingFailure?.message, /pool is gone/);
  f.commit();
  t.equal(next(), "nothing", "not at once");
  f.clock.nowMs += 100;
  f.commit();
  t.equal(next(), "settle");
  run();
  t.equal(next(), "manifest-00000001");
  t.equal(f.journal.settledGeneration, 0);
  t.same(f.firstUnsettled(), [0, 0]);
  t.match(f.names(/settled$/), ["0000000000000000-00000001-0000.settled"]);
  run(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }));
  t.same([f.journal.settledGeneration, f.journal.settledPosition], [0, 0]);
  f.clock.nowMs += 1_000;
  f.commit();
  t.equal(next(), "manifest-00000001", "the files are not made again");
  run();
  t.equal(f.journal.settledGeneration, 1);
  t.equal(f.journal.settlingFailure, undefined);
  t.same(f.firstUnsettled(), [undefined, undefined]);
  f.journal.close();
});

t.test("the journal's prefix goes when two checkpoints cover it", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, { settling: { batchBytes: 1 } });
  f.journal.startSettling(OWNER);
  f.endSegment();
  t.equal(f.journal.settledGeneration, 1);
  t.equal(f.names(/log$/).length, 2);
  f.checkpoint();
  f.commit();
  t.equal(f.names(/log$/).length, 2, "without a checkpoint to fall back to it is needed");
  f.checkpoint();
  f.commit();
  t.same(f.names(/log$|idx$/), [`${String(f.journal.settledPosition).padStart(16, "0")}-00000001.log`]);
  const state = f.names(/ckpt$/).at(-1) as string;
  writeFileSync(`${f.directory}/${state}`, "rubbish");
  f.journal.close();
  const { journal, recorder } = openFixture(f.directory, { segmentSizeBytes: SEGMENT });
  t.equal(recorder.state?.length, 8, "the older one does");
  t.ok(textsOf(recorder).length > 0);
  t.equal(journal.retainedBytes(1, 0), 2 * 600);
  journal.close();
});

t.test("damage in a segment does not stop the others", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, { settling: { batchBytes: 6_000 } });
  f.journal.startSettling(OWNER);
  f.endSegment();
  f.endSegment();
  const path = `${f.directory}/${f.names(/log$/)[1]}`;
  const bytes = readFileSync(path);
  bytes[700] = (bytes[700] as number) ^ 1;
  writeFileSync(path, bytes);
  f.endSegment();
  for (let i = 0; i < 4; i++) {
    f.clock.nowMs += 40_000;
    f.commit();
  }
  t.match(f.journal.settledFiles, [{ adopted: false }, { adopted: true }, { adopted: false }]);
  t.equal(f.journal.settlingFailure, undefined);
  t.match(f.journal.takeSettlingWarnings(), [/damage met.*position \d+/]);
  t.same(f.journal.takeSettlingWarnings(), []);
  f.journal.close();
});

t.test("nor does a segment that the disk does not give back", async (t) => {
  class Unreadable extends DelegatingStorage {
    fd = -1;
    override open(path: string, mode: OpenMode): number {
      const fd = super.open(path, mode);
      if (path.endsWith("0000000000000000-00000001.log")) this.fd = fd;
      return fd;
    }
    override close(fd: number): void {
      if (fd === this.fd) this.fd = -1;
      super.close(fd);
    }
    override read(fd: number, target: Uint8Array, start: number, length: number, position: number): number {
      if (fd === this.fd && position < 1_000) throw Object.assign(new Error("EIO: read"), { code: "EIO" });
      return super.read(fd, target, start, length, position);
    }
  }
  const f = new SettlingFixture(`${t.testdir()}/0003`, {
    settling: { batchBytes: 1 },
    background: new InlineBackground(new Unreadable(new RealStorage())),
  });
  f.journal.startSettling(OWNER);
  f.endSegment();
  t.match(f.journal.settlingFailure?.message, /EIO/);
  for (let i = 0; i < 4; i++) {
    f.clock.nowMs += 10_000;
    f.commit();
  }
  t.match(f.journal.settledFiles, [{ adopted: true }]);
  f.journal.close();
});

t.test("drops dead files, rewrites those that are mostly dead, passes over an old plan", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, {
    settling: { batchBytes: 1, rewriteDeadBytesMin: 500 },
  });
  f.journal.startSettling(OWNER);
  f.endSegment();
  f.endSegment();
  f.endSegment();
  const files = f.journal.settledFiles;
  t.equal(files.length, 3);
  const plan = {
    kind: "retention-plan" as const,
    moves: new Float64Array(0),
    files: Float64Array.from([0, 0, 600, 0, 1800, 0]),
    freed: Float64Array.from([1, 0, 1200, 1, 1, 600]),
  };
  f.journal.reclaim(files, plan);
  t.ok(f.journal.reclaimPending);
  f.commit();
  t.notOk(f.journal.reclaimPending);
  const listed = f.journal.settledFiles.map(({ basePosition, part }) => [basePosition, part]);
  t.same(
    listed,
    [
      [files[1]?.basePosition, 1],
      [files[2]?.basePosition, 0],
    ],
    "one is gone, one is written anew under a name of its own",
  );
  t.equal(f.names(/settled$/).length, 2);
  t.same([f.journal.retainedBytes(1, 0), f.journal.retainedBytes(1, 1)], [4 * 600, 2 * 600]);
  const { settledGeneration } = f.journal;
  f.journal.reclaim(files, plan);
  f.commit();
  t.equal(f.journal.settledGeneration, settledGeneration, "it names a file that is gone");
  t.same([f.journal.retainedBytes(1, 0), f.journal.retainedBytes(1, 1)], [4 * 600, 2 * 600]);
  f.journal.close();
});

t.test("a new owner writes its manifest, and removes what none lists", async (t) => {
  const f = new SettlingFixture(`${t.testdir()}/0003`, { settling: { batchBytes: 1 } });
  f.journal.startSettling(OWNER);
  f.endSegment();
  const [file] = f.names(/settled$/);
  writeFileSync(`${f.directory}/0000000000000777-00000001-0003.settled`, "left over");
  f.reopen();
  t.same(f.names(/^manifest/), ["manifest-00000001", "manifest-00000002"], "before anything is served");
  t.equal(f.journal.settledGeneration, 2);
  f.commit();
  t.same(f.names(/^manifest/), ["manifest-00000002"]);
  t.same(f.names(/settled$/), [file]);
  const { epoch, settledPosition, files } = decodeManifest(
    new Uint8Array(readFileSync(`${f.directory}/manifest-00000002`)),
  ) ?? { files: [] };
  t.same([epoch, settledPosition, files.length], [2, f.journal.settledPosition, 1]);
  t.equal(f.journal.retainedBytes(1, 0), 2 * 600);
  f.journal.checkpoint(Buffer.alloc(0), true);
  t.ok(f.reopen().cleanShutdown, "settling does not make a clean stop unclean");
  f.journal.close();
});

t.test("refuses what it cannot trust, with the file", async (t) => {
  const make = (name: string): { f: SettlingFixture; path: string; manifest: string } => {
    const f = new SettlingFixture(`${t.testdir({ [name]: {} })}/${name}/0003`, {
      settling: { batchBytes: 1 },
    });
    f.journal.startSettling(OWNER);
    f.endSegment();
    f.journal.close();
    const path = `${f.directory}/${f.names(/settled$/)[0]}`;
    return { f, path, manifest: `${f.directory}/manifest-00000001` };
  };
  const missing = make("missing");
  rmSync(missing.path);
  t.throws(() => missing.f.open(), { code: "JOURNAL_DAMAGED", details: { file: missing.path, position: 0 } });

  const short = make("short");
  truncateSync(short.path, 100);
  t.throws(() => short.f.open(), { code: "JOURNAL_DAMAGED", details: { file: short.path } });

  const damaged = make("damaged");
  const bytes = readFileSync(damaged.manifest);
  bytes[60] = (bytes[60] as number) ^ 1;
  writeFileSync(damaged.manifest, bytes);
  t.throws(() => damaged.f.open(), { code: "JOURNAL_DAMAGED", details: { file: damaged.manifest } });

  const ahead = make("ahead");
  renameSync(ahead.manifest, `${ahead.f.directory}/manifest-00000009`);
  t.throws(() => ahead.f.open(), { code: "JOURNAL_DAMAGED", message: /fence is older/ });

  const newer = make("newer");
  const { crc32 } = await import("node:zlib");
  const content = encodeManifest({
    shardId: 3,
    epoch: 1,
    generation: 1,
    settledPosition: 64,
    files: [],
    partitions: [],
  });
  content[8] = 2;
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(content));
  writeFileSync(newer.manifest, Buffer.concat([content, checksum]));
  t.throws(() => newer.f.open(), {
    code: "DATA_FORMAT_NEWER",
    details: { file: newer.manifest, version: 2 },
  });

  const gone = make("gone");
  const log = gone.f.names(/log$/)[1] as string;
  rmSync(`${gone.f.directory}/${log}`);
  t.throws(() => gone.f.open(), { code: "JOURNAL_DAMAGED" }, "an entry behind what is settled was durable");
});
