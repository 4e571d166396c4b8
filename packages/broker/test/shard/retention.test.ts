import type { RetentionPlan, SettledFile } from "@millrace/journal/internal";
import {
  RETENTION_FIELDS,
  RETENTION_KEEP_BYTES,
  RETENTION_TOPIC_ID,
  type RetentionJob,
} from "@millrace/journal/internal";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { LogStarts } from "../../src/shard/log-starts.ts";
import { type DroppedFiles, Retention } from "../../src/shard/retention.ts";
import { ShardState } from "../../src/shard/shard-state.ts";
import { OVERFLOW_REFUSE } from "../../src/shard/topic-traits.ts";
import { MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { ManualClock } from "../harness/manual-clock.ts";

const TOPIC = 5;
const OTHER = 9;
const FILE_BYTES = 1000;

type Asked = Pick<RetentionJob, "files" | "partitions" | "nowMs" | "dropThrough">;

function fileOf(basePosition: number, topicId: number, lastTime: number, part = 0): SettledFile {
  return {
    basePosition,
    endPosition: basePosition + FILE_BYTES,
    epoch: 1,
    part,
    sizeBytes: FILE_BYTES + 100,
    footerAt: FILE_BYTES,
    entryBytes: FILE_BYTES,
    firstTime: lastTime,
    lastTime,
    expiryTime: lastTime,
    firstTopicId: topicId,
    lastTopicId: topicId,
    partitionCount: 1,
    adopted: false,
    records: 10,
  };
}

/** A shard with two topics of one partition, a journal that writes down what it is asked, and commits by hand. */
class Bench {
  readonly clock: ManualClock = new ManualClock();
  readonly state: ShardState = new ShardState(1, 2, new ManualClock());
  readonly asked: Asked[] = [];
  readonly reclaimed: number[][] = [];
  readonly logged: string[] = [];
  readonly #commits: (() => void)[] = [];
  #answers: ((error?: Error, plan?: RetentionPlan) => void)[] = [];
  readonly journal = {
    settledFiles: [] as readonly SettledFile[],
    settledGeneration: 0,
    retained: 0,
    unsettled: 0,
    index: { unsettledBytes: (): number => this.journal.unsettled },
    reclaimPending: false,
    retainedBytes: (): number => this.journal.retained,
    planRetention: (job: Asked, done: (error?: Error, plan?: RetentionPlan) => void): void => {
      this.asked.push(job);
      this.#answers.push(done);
    },
    reclaim: (files: readonly SettledFile[], plan: RetentionPlan): void => {
      this.reclaimed.push(files.map((_, i) => plan.files[i * 2] as number));
    },
  };
  readonly retention: Retention;

  constructor() {
    for (const topicId of [TOPIC, OTHER]) {
      this.state.open(topicId, 0, DURABILITY_FSYNCED).highWatermark = 1000;
    }
    this.retention = new Retention({
      state: this.state,
      journal: this.journal,
      logStarts: new LogStarts({
        moved: () => {},
        stageChanges: () => {},
        afterCommit: (run) => this.#commits.push(run),
      }),
      clock: this.clock,
      log: (_level, event) => this.logged.push(event),
    });
    this.retention.start();
  }

  /** The journal's files from now on. */
  settle(...files: SettledFile[]): void {
    this.journal.settledFiles = files;
    this.journal.settledGeneration += 1;
  }

  run(ms = 0): void {
    this.clock.advance(ms);
    while (this.retention.doWork(this.clock.monotonicMs()) > 0);
  }

  /** Answers the plan: for each file what lives and when to look again. */
  plan(files: readonly (readonly [living: number, againMs: number])[], moves: number[] = []): void {
    const plan: RetentionPlan = {
      kind: "retention-plan",
      moves: Float64Array.from(moves),
      files: Float64Array.from(files.flat()),
      freed: new Float64Array(0),
    };
    for (const answer of this.#answers.splice(0)) answer(undefined, plan);
    this.run();
  }

  fail(message: string): void {
    for (const answer of this.#answers.splice(0)) answer(new Error(message));
    this.run();
  }

  commit(): void {
    for (const run of this.#commits.splice(0)) run();
    this.run();
  }

  startOf(topicId: number): number {
    return this.state.find(topicId, 0)?.logStartOffset ?? -1;
  }

  /** keepBytes of the topic in the last plan asked for. */
  keepBytes(topicId: number): number | undefined {
    const { partitions } = this.asked.at(-1) as Asked;
    for (let at = 0; at < partitions.length; at += RETENTION_FIELDS) {
      if (partitions[at + RETENTION_TOPIC_ID] === topicId) return partitions[at + RETENTION_KEEP_BYTES];
    }
    return undefined;
  }
}

t.test(
  "nothing is looked at before the partitions are known, and nothing while there is nothing",
  async (t) => {
    const bench = new Bench();
    const early = new Retention({
      state: bench.state,
      journal: bench.journal,
      logStarts: new LogStarts({ stageChanges: () => {}, afterCommit: () => {}, moved: () => {} }),
      clock: bench.clock,
      log: () => {},
    });
    bench.settle(fileOf(0, TOPIC, 1));
    t.equal(early.doWork(bench.clock.monotonicMs()), 0);
    early.changed(TOPIC);
    t.equal(early.doWork(bench.clock.monotonicMs()), 0);
    t.equal(early.nextTimerMs(0), Number.POSITIVE_INFINITY);
    bench.settle();
    bench.run();
    t.equal(bench.asked.length, 0);
    t.equal(bench.retention.nextTimerMs(bench.clock.monotonicMs()), Number.POSITIVE_INFINITY);
  },
);

t.test("a start moves first, is durable, and only then the files are reclaimed", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1), fileOf(1000, TOPIC, 2));
  bench.run();
  t.same(bench.asked.at(-1)?.files.length, 2, "new files are looked into once");
  bench.plan(
    [
      [0, 0],
      [FILE_BYTES, bench.clock.wallMs() + 60_000],
    ],
    [TOPIC, 0, 10],
  );
  t.equal(bench.startOf(TOPIC), 0);
  t.same(bench.reclaimed, []);
  bench.commit();
  t.equal(bench.startOf(TOPIC), 10);
  t.same(bench.reclaimed, [[0, FILE_BYTES]]);
  t.same(bench.logged, ["retention"]);
  t.equal(bench.retention.settledBytes, FILE_BYTES + 100, "what goes does not count");
});

t.test("a file is looked into when it is due, and not before", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1));
  bench.run();
  bench.plan([[FILE_BYTES, bench.clock.wallMs() + 60_000]]);
  t.same(bench.reclaimed, [], "all of it lives");
  bench.run(BROKER_LIMITS.retentionCheckMs);
  t.equal(bench.asked.length, 1);
  bench.run(BROKER_LIMITS.retentionCheckMs);
  t.equal(bench.asked.length, 2);
});

t.test("a topic that changes makes its files due, also while a plan is made", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1), fileOf(1000, OTHER, 1));
  bench.run();
  const later = bench.clock.wallMs() + 3_600_000;
  bench.retention.changed(OTHER);
  bench.plan([
    [FILE_BYTES, later],
    [FILE_BYTES, later],
  ]);
  bench.run(BROKER_LIMITS.retentionGapMs);
  t.same(
    bench.asked.at(-1)?.files.map(({ firstTopicId }) => firstTopicId),
    [OTHER],
  );
  bench.plan([[FILE_BYTES, later]]);
  bench.retention.changed(TOPIC);
  bench.run(BROKER_LIMITS.retentionGapMs);
  t.same(
    bench.asked.at(-1)?.files.map(({ firstTopicId }) => firstTopicId),
    [TOPIC],
  );
});

t.test(
  "a byte bound is judged over all files of the partition, and counts what is not settled",
  async (t) => {
    const bench = new Bench();
    const partition = bench.state.find(TOPIC, 0);
    t.ok(partition);
    if (partition !== undefined) partition.retentionBytes = 1500;
    bench.settle(fileOf(0, TOPIC, 1), fileOf(1000, OTHER, 1), fileOf(2000, TOPIC, 2));
    const later = bench.clock.wallMs() + 3_600_000;
    bench.journal.retained = 1400;
    bench.run();
    t.equal(bench.keepBytes(TOPIC), Number.POSITIVE_INFINITY);
    bench.plan(Array.from({ length: 3 }, () => [FILE_BYTES, later] as const));
    bench.journal.retained = 2000;
    bench.journal.unsettled = 300;
    bench.run(BROKER_LIMITS.retentionCheckMs);
    t.same(
      bench.asked.at(-1)?.files.map(({ basePosition }) => basePosition),
      [0, 2000],
    );
    t.equal(bench.keepBytes(TOPIC), 1200);
    t.equal(bench.keepBytes(OTHER), Number.POSITIVE_INFINITY);
    bench.plan([
      [FILE_BYTES, later],
      [FILE_BYTES, later],
    ]);
    bench.journal.retained = 2010;
    bench.run(BROKER_LIMITS.retentionCheckMs);
    t.equal(bench.asked.length, 2, "hardly more than when no whole section could go");
    bench.journal.retained = 2060;
    bench.run(BROKER_LIMITS.retentionCheckMs);
    t.equal(bench.asked.length, 3);
  },
);

t.test("what is committed but not acknowledged is not dropped", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1));
  bench.run();
  bench.plan([[0, 0]], [TOPIC, 0, 1001]);
  bench.commit();
  t.equal(bench.startOf(TOPIC), 0);
  t.same(bench.reclaimed, []);
  bench.run(BROKER_LIMITS.retentionGapMs);
  t.equal(bench.asked.length, 2, "it is tried again");
});

t.test("a plan that cannot be made is reported once and tried again", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1));
  bench.run();
  bench.fail("EIO");
  bench.run(BROKER_LIMITS.retentionCheckMs);
  bench.fail("EIO");
  t.equal(bench.asked.length, 2);
  t.same(bench.logged, ["retention-failed"]);
});

t.test("no plan is made of files that are about to go", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1));
  bench.journal.reclaimPending = true;
  bench.run(BROKER_LIMITS.retentionCheckMs);
  t.equal(bench.asked.length, 0);
  t.equal(bench.retention.nextTimerMs(bench.clock.monotonicMs()), Number.POSITIVE_INFINITY);
  bench.journal.reclaimPending = false;
  bench.run();
  t.equal(bench.asked.length, 1);
});

t.test("a forced drop takes the oldest files but never the catalog's", async (t) => {
  const bench = new Bench();
  const later = bench.clock.wallMs() + 3_600_000;
  bench.settle(fileOf(0, 0, 1), fileOf(0, TOPIC, 5, 1), fileOf(1000, OTHER, 6), fileOf(2000, TOPIC, 9));
  bench.run();
  bench.plan(Array.from({ length: 4 }, () => [FILE_BYTES, later] as const));
  t.same(
    bench.retention.oldest(2).map(([lastTimeMs]) => lastTimeMs),
    [5, 6],
  );
  const dropped: DroppedFiles[] = [];
  bench.retention.dropOldest(2, (files) => dropped.push(files));
  t.throws(() => bench.retention.dropOldest(1, () => {}), { code: "THROTTLED" });
  bench.run();
  const asked = bench.asked.at(-1) as Asked;
  t.equal(asked.dropThrough, 2);
  t.same(
    asked.files.map(({ basePosition, part }) => [basePosition, part]),
    [
      [0, 1],
      [1000, 0],
    ],
  );
  bench.plan(
    [
      [0, 0],
      [0, 0],
    ],
    [TOPIC, 0, 10, OTHER, 0, 20],
  );
  t.same(dropped, [], "not durable yet");
  bench.commit();
  t.match(dropped, [{ files: 2, bytes: 2 * (FILE_BYTES + 100), partitions: 2 }]);
  t.same(dropped[0]?.starts, [
    [TOPIC, 0, 10],
    [OTHER, 0, 20],
  ]);
  t.match(bench.retention.oldest(1), [[9]], "the next one drops others, even if these are still there");
  t.equal(bench.retention.settledBytes, 2 * (FILE_BYTES + 100));
});

t.test("a forced drop takes what somebody has yet to finish last", async (t) => {
  const bench = new Bench();
  bench.settle(fileOf(0, TOPIC, 1), fileOf(1000, OTHER, 2), fileOf(2000, TOPIC, 3));
  bench.run();
  bench.plan(Array.from({ length: 3 }, () => [FILE_BYTES, 0] as const));
  const times = (): number[] => bench.retention.oldest(3).map(([lastTimeMs]) => lastTimeMs);
  bench.state.applyChange(["subscribe", 1, TOPIC, 0, MODE_QUEUE, 0, 1]);
  t.same(times(), [1, 2, 3]);
  bench.state.overflows.set(TOPIC, OVERFLOW_REFUSE);
  t.same(times(), [2, 1, 3]);
  bench.state.applyChange(["acks", 1, TOPIC, 0, [0, 1000]]);
  t.same(times(), [1, 2, 3]);
});

t.test("a forced drop without any file is answered", async (t) => {
  const bench = new Bench();
  const dropped: DroppedFiles[] = [];
  bench.settle(fileOf(0, 0, 1));
  bench.run();
  bench.plan([[FILE_BYTES, bench.clock.wallMs() + 60_000]]);
  bench.retention.dropOldest(1, (files) => dropped.push(files));
  bench.run();
  t.match(dropped, [{ files: 0 }]);
});
