import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { MillraceError } from "@millrace/protocol";
import t from "tap";
import {
  DISK_FULL,
  FAILED,
  FLUSHED,
  InlineSyncer,
  RealStorage,
  SeededRandom,
  SimulatedStorage,
} from "../src/internal.ts";
import { claimFileName } from "../src/ownership/claim.ts";
import { DelegatingStorage } from "./broken-storage.ts";
import { HeldBackground, openFixture, stageTexts, textsOf } from "./journal-fixture.ts";
import { placeFence } from "./placed-fence.ts";
import { batchPayload, EntryRing } from "./simulated-world.ts";

const FIRST_SEGMENT = "0000000000000000-00000001.log";

t.test("what was committed is there after a restart, in order", async (t) => {
  const directory = `${t.testdir()}/shards/0003`;
  const first = openFixture(directory);
  t.equal(first.journal.epoch, 1);
  t.ok(first.journal.cleanShutdown, "a new journal has lost nothing");
  const positions = stageTexts(first.journal, "a", "bb", "ccc");
  t.same(positions, [64, 160, 256]);
  t.equal(first.journal.stagedPosition, 352);
  t.equal(first.journal.writtenPosition, 0);
  t.equal(first.journal.flush(), FLUSHED);
  t.equal(first.journal.writtenPosition, 352);
  t.equal(first.journal.committedPosition(), 0);
  first.journal.requestSync();
  t.equal(first.journal.committedPosition(), 352);
  first.journal.close();

  const second = openFixture(directory);
  t.equal(second.journal.epoch, 2);
  t.notOk(second.journal.cleanShutdown);
  t.same(textsOf(second.recorder), ["a", "bb", "ccc"]);
  t.same(
    second.recorder.entries.map((entry) => entry.position),
    positions,
  );
  t.equal(second.journal.committedPosition(), 352);
  t.same(second.journal.recovery.entries, 3);
  t.equal(stageTexts(second.journal, "d")[0], 352 + 64, "a new epoch writes to a segment of its own");
  second.journal.flush();
  second.journal.close();
  t.same(
    readdirSync(directory).filter((name) => name.endsWith(".log")),
    [FIRST_SEGMENT, "0000000000000352-00000002.log"],
  );
  const third = openFixture(directory);
  t.same(textsOf(third.recorder), ["a", "bb", "ccc", "d"]);
  third.journal.close();
});

t.test("a clean stop is clean only until somebody else owns the shard", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const first = openFixture(directory);
  stageTexts(first.journal, "a");
  first.journal.flush();
  first.journal.checkpoint(Buffer.from("state"), true);
  t.notOk(first.journal.checkpointPending);
  t.equal(first.journal.bytesSinceCheckpoint, 0);
  first.journal.close();

  const second = openFixture(directory);
  t.ok(second.journal.cleanShutdown);
  t.equal(Buffer.from(second.recorder.state ?? []).toString(), "state");
  t.same(second.recorder.entries, []);
  second.journal.close();

  // The second owner may have shown entries that it never wrote.
  const third = openFixture(directory);
  t.notOk(third.journal.cleanShutdown);
  third.journal.close();
});

t.test("keeps two checkpoints and goes back to the older when the newer is damaged", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const first = openFixture(directory);
  for (const text of ["one", "two", "three"]) {
    stageTexts(first.journal, text);
    first.journal.flush();
    first.journal.checkpoint(Buffer.from(text), false);
  }
  stageTexts(first.journal, "four");
  first.journal.flush();
  first.journal.close();
  const names = readdirSync(directory).filter((name) => name.endsWith(".ckpt"));
  t.same(names, ["checkpoint-0000000000000256.ckpt", "checkpoint-0000000000000352.ckpt"]);

  const path = `${directory}/${names[1]}`;
  const bytes = readFileSync(path);
  bytes[40] = (bytes[40] as number) ^ 1;
  writeFileSync(path, bytes);
  const second = openFixture(directory);
  t.equal(Buffer.from(second.recorder.state ?? []).toString(), "two");
  t.same(textsOf(second.recorder), ["three", "four"]);
  t.match(second.journal.recovery.warnings, [/checkpoint is damaged/]);
  second.journal.close();

  writeFileSync(`${directory}/${names[0]}`, "rubbish");
  const third = openFixture(directory);
  t.equal(third.recorder.state, undefined);
  t.same(textsOf(third.recorder), ["one", "two", "three", "four"], "without any it reads from the beginning");
  third.journal.close();
});

t.test("a checkpoint waits for the commit and the sidecars of what it covers", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const storage = new RealStorage();
  const background = new HeldBackground();
  let syncer: InlineSyncer | undefined;
  const { journal } = openFixture(directory, {
    background,
    segmentSizeBytes: 4096,
    syncer: (context) => {
      syncer = new InlineSyncer(storage, context, { stepped: true });
      return syncer;
    },
  });
  for (let i = 0; i < 50; i++) stageTexts(journal, `entry ${i}`.padEnd(100));
  journal.flush();
  journal.checkpoint(Buffer.from("state"), false);
  t.same(
    background.jobs.map(({ job }) => job.kind),
    ["write-file"],
    "a sidecar comes first",
  );
  syncer?.step();
  t.equal(journal.committedPosition(), journal.writtenPosition);
  t.equal(background.jobs.length, 1, "committed, but the sidecars are missing");
  background.run(storage);
  t.notOk(journal.checkpointPending);
  t.equal(readdirSync(directory).filter((name) => name.endsWith(".idx")).length, 2);
  t.equal(readdirSync(directory).filter((name) => name.endsWith(".ckpt")).length, 1);
  journal.close();
});

t.test("a segment is zeroed ahead when the one before lasts, and cut when it is recovered", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const storage = new RealStorage();
  const background = new HeldBackground();
  const clock = { nowMs: 0 };
  const { journal } = openFixture(directory, {
    background,
    segmentSizeBytes: 8192,
    clock: { monotonicMs: () => clock.nowMs },
  });
  const write = (count: number): void => {
    for (let i = 0; i < count; i++) stageTexts(journal, "x".repeat(900));
    journal.flush();
  };
  write(4);
  t.same(background.jobs, []);
  clock.nowMs = 2_000;
  write(1);
  t.same(
    background.jobs.map(({ job }) => job.kind),
    ["prepare-segment"],
  );
  background.run(storage);
  t.same(
    readdirSync(directory).filter((name) => name.startsWith("prepared")),
    ["prepared-1-0.tmp"],
  );
  write(5);
  journal.requestSync();
  const last = `${directory}/0000000000008000-00000001.log`;
  t.equal(statSync(last).size, 8192, "the prepared file became the segment");
  journal.close();
  const second = openFixture(directory);
  t.equal(second.recorder.entries.length, 10);
  t.equal(second.journal.recovery.tornBytes, 0);
  t.equal(statSync(last).size, second.journal.stagedPosition - 8000, "unused zeros are freed");
  second.journal.close();
});

t.test("a full disk keeps what is staged and accepts it later", async (t) => {
  const storage = new SimulatedStorage(new SeededRandom(5));
  storage.mkdir("/shards");
  const { journal } = openFixture("/shards/0003", { storage });
  const ring = new EntryRing(65_536);
  const random = new SeededRandom(1);
  const stageBatch = (length: number): number => {
    const payload = batchPayload(random, length);
    const index = ring.claim(88 + payload.length, 0);
    ring.words[index >> 2] = 88 + payload.length;
    ring.words[(index >> 2) + 1] = 1;
    ring.words[(index >> 2) + 20] = payload.readInt32BE(payload.length - 4);
    payload.copy(ring.bytes, index + 88);
    return journal.stage(ring, index);
  };
  stageBatch(1000);
  t.equal(journal.flush(), FLUSHED);
  storage.capacityBytes = storage.contents().reduce((sum, { size }) => sum + size, 0) + 700;
  stageBatch(1000);
  const staged = journal.stagedPosition;
  t.equal(journal.flush(), DISK_FULL);
  t.ok(journal.isFull);
  ring.release();
  t.throws(() => stageBatch(10), { code: "DISK_FULL" });
  stageTexts(journal, "a change of state still finds room in memory");
  t.equal(journal.flush(), DISK_FULL);
  t.throws(() => {
    for (;;) journal.stageState(Buffer.alloc(1_000_000));
  });
  t.equal(journal.failure(), undefined);
  storage.capacityBytes = Number.POSITIVE_INFINITY;
  t.equal(journal.flush(), FLUSHED);
  t.notOk(journal.isFull);
  t.ok(journal.writtenPosition > staged);
  journal.requestSync();
  journal.close();
  t.equal(storage.openCount, 0, "every file was closed");
  storage.restart("power");
  const { recorder } = openFixture("/shards/0003", { storage });
  t.ok(recorder.entries.length >= 3);
});

t.test("a failed write quarantines the shard", async (t) => {
  class Failing extends DelegatingStorage {
    broken = false;
    override write(fd: number, source: Uint8Array, start: number, length: number, position: number): number {
      if (this.broken) {
        this.broken = false;
        throw Object.assign(new Error("EIO: write"), { code: "EIO" });
      }
      return super.write(fd, source, start, length, position);
    }
  }
  const directory = `${t.testdir()}/0003`;
  const storage = new Failing(new RealStorage());
  const { journal } = openFixture(directory, { storage });
  stageTexts(journal, "x".repeat(200));
  storage.broken = true;
  t.equal(journal.flush(), FAILED);
  t.equal(journal.failure()?.code, "JOURNAL_FAILED");
  t.equal(journal.failure()?.details.reason, "write");
  t.equal(journal.flush(), FAILED, "nothing is written any more");
  t.throws(() => stageTexts(journal, "more"), { code: "JOURNAL_FAILED" });
  journal.checkpoint(Buffer.alloc(0), false);
  t.notOk(journal.checkpointPending);
  journal.close();
  t.match(readFileSync(`${directory}/quarantined`, "utf8"), /write failed with EIO/);
  t.throws(() => openFixture(directory), {
    code: "JOURNAL_QUARANTINED",
    details: { file: `${directory}/quarantined` },
  });
});

t.test("a failed sync quarantines the shard", async (t) => {
  class Failing extends DelegatingStorage {
    broken = false;
    override sync(fd: number): void {
      if (this.broken) throw Object.assign(new Error("EIO: fdatasync"), { code: "EIO" });
      super.sync(fd);
    }
  }
  const directory = `${t.testdir()}/0003`;
  const storage = new Failing(new RealStorage());
  const { journal } = openFixture(directory, { storage });
  stageTexts(journal, "x");
  journal.flush();
  storage.broken = true;
  journal.requestSync();
  t.equal(journal.committedPosition(), 0);
  t.equal(journal.failure()?.details.reason, "sync");
  storage.broken = false;
  journal.requestSync();
  t.equal(journal.committedPosition(), 0, "it is not synced again in hope");
  journal.close();
});

t.test("an owner that was replaced stops silently", async (t) => {
  const directory = `${t.testdir()}/0003`;
  const old = openFixture(directory);
  stageTexts(old.journal, "mine");
  old.journal.flush();
  old.journal.requestSync();
  const next = openFixture(directory);
  t.same(textsOf(next.recorder), ["mine"]);
  stageTexts(old.journal, "late");
  old.journal.flush();
  old.journal.requestSync();
  t.equal(old.journal.failure()?.details.reason, "fenced");
  t.equal(old.journal.committedPosition(), 160);
  t.notOk(existsSync(`${directory}/quarantined`), "the shard is not its any more");
  old.journal.checkpoint(Buffer.alloc(0), false);
  old.journal.close();
  stageTexts(next.journal, "theirs");
  next.journal.flush();
  next.journal.requestSync();
  t.equal(next.journal.failure(), undefined);
  next.journal.close();
  const { recorder, journal } = openFixture(directory);
  t.same(textsOf(recorder), ["mine", "theirs"], "what the old owner wrote behind the end does not exist");
  journal.close();
});

t.test("refuses what cannot be an entry", async (t) => {
  const { journal } = openFixture(`${t.testdir()}/0003`, { segmentSizeBytes: 4096 });
  const ring = new EntryRing(65_536);
  for (const length of [0, 87, -1, 4096, 2 ** 31 - 1]) {
    ring.words[0] = length;
    t.throws(() => journal.stage(ring, 0), { name: "RangeError", message: new RegExp(`length=${length} `) });
  }
  ring.words[1] = 88;
  t.throws(() => journal.stage(ring, 4), { message: /index=4/ });
  t.throws(() => journal.stageState(Buffer.alloc(5_000_000)), RangeError);
  t.throws(() => journal.stageState(Buffer.alloc(4096)), RangeError);
  t.equal(journal.stagedPosition, 0, "nothing was staged");
  journal.close();
  journal.close();
  t.throws(() => stageTexts(journal, "x"), { message: /closed/ });
  t.throws(() => openFixture(t.testdir(), { segmentSizeBytes: 4100 }), RangeError);
});

t.test("damage is refused with its place, a torn tail is cut", async (t) => {
  const make = (name: string): string => {
    const directory = `${t.testdir({ [name]: {} })}/${name}/0003`;
    const { journal } = openFixture(directory);
    for (const text of ["first", "second", "third"]) {
      stageTexts(journal, text);
      journal.flush();
      journal.requestSync();
      journal.committedPosition();
    }
    journal.close();
    return directory;
  };
  const flip = (path: string, at: number): void => {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    writeFileSync(path, bytes);
  };
  const damaged = (directory: string, file: string, position: number): void => {
    t.throws(() => openFixture(directory), {
      code: "JOURNAL_DAMAGED",
      details: { file: `${directory}/${file}`, position },
    });
  };

  let directory = make("payload");
  flip(`${directory}/${FIRST_SEGMENT}`, 64 + 88);
  damaged(directory, FIRST_SEGMENT, 64);

  directory = make("zeroed");
  const bytes = readFileSync(`${directory}/${FIRST_SEGMENT}`);
  bytes.fill(0, 160, 256);
  writeFileSync(`${directory}/${FIRST_SEGMENT}`, bytes);
  damaged(directory, FIRST_SEGMENT, 160);

  directory = make("header");
  flip(`${directory}/${FIRST_SEGMENT}`, 12);
  damaged(directory, FIRST_SEGMENT, 0);

  directory = make("fence");
  flip(`${directory}/fence`, 17);
  damaged(directory, "fence", 0);

  directory = make("tail");
  truncateSync(`${directory}/${FIRST_SEGMENT}`, 300);
  const cut = openFixture(directory);
  t.same(textsOf(cut.recorder), ["first", "second"], "nothing shows that the last entry was durable");
  t.equal(cut.journal.stagedPosition, 256);
  t.ok(cut.journal.recovery.tornBytes > 0);
  t.equal(statSync(`${directory}/${FIRST_SEGMENT}`).size, 256);
  cut.journal.close();

  directory = make("covered");
  const covered = openFixture(directory);
  covered.journal.checkpoint(Buffer.alloc(0), false);
  covered.journal.close();
  truncateSync(`${directory}/${FIRST_SEGMENT}`, 300);
  damaged(directory, FIRST_SEGMENT, 300);
});

t.test("foreign and newer files are refused", async (t) => {
  const directory = `${t.testdir()}/0003`;
  openFixture(directory).journal.close();
  t.throws(() => openFixture(directory, { shardId: 4 }), {
    code: "JOURNAL_DAMAGED",
    message: /shard 3, not 4/,
  });
  const { journal } = openFixture(directory);
  stageTexts(journal, "x");
  journal.flush();
  journal.close();
  rmSync(`${directory}/${claimFileName(journal.epoch)}`);
  placeFence(new RealStorage(), directory, { shardId: 3, epoch: 1, journalId: 0xdecade });
  t.throws(() => openFixture(directory), { code: "JOURNAL_DAMAGED", message: /fence is older/ });
});

t.test("errors of the file system say what they mean", async (t) => {
  class Failing extends DelegatingStorage {
    private readonly code: string;
    constructor(code: string) {
      super(new RealStorage());
      this.code = code;
    }
    override write(): number {
      throw Object.assign(new Error(this.code), { code: this.code });
    }
  }
  for (const [errno, code] of [
    ["ENOSPC", "DISK_FULL"],
    ["EACCES", "JOURNAL_FAILED"],
  ] as const) {
    try {
      openFixture(`${t.testdir()}/0003`, { storage: new Failing(errno) });
      t.fail("opened");
    } catch (error) {
      t.ok(error instanceof MillraceError && error.code === code && error.details.errno === errno);
    }
  }
});

t.test("reports commits to whoever asked", async (t) => {
  const seen: number[] = [];
  const { journal } = openFixture(`${t.testdir()}/0003`, { onCommitted: (position) => seen.push(position) });
  stageTexts(journal, "a");
  journal.flush();
  journal.requestSync();
  journal.committedPosition();
  journal.committedPosition();
  t.same(seen, [160]);
  journal.close();
});
