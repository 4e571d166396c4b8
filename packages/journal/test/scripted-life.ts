import {
  type BackgroundJob,
  type BackgroundResult,
  completeBackgroundJob,
  DISK_FULL,
  DiskReserve,
  SeededRandom,
  SimulatedStorage,
} from "../src/internal.ts";
import { isDiskFull } from "../src/storage/storage.ts";
import { expect, type ModelPartition } from "./journal-model.ts";
import { SimulatedRetention } from "./simulated-retention.ts";
import { SimulatedOwner, SimulatedShard } from "./simulated-shard.ts";
import {
  type Breakage,
  DIRECTORY,
  type OpenedJournal,
  type OpenWorld,
  openJournal,
} from "./simulated-world.ts";
import { checkReads, checkRecovered } from "./simulation-checks.ts";
import { QuietJournal } from "./space-check.ts";

export const SEGMENT_BYTES: number = 4096;
/** Room for an ended segment and its index, and for what is held. */
const RESERVE_BYTES = 16_384;
const HELD_BYTES = 2_400;
export const REWRITE_BYTES: number = 500;
const PAYLOAD_MAX = 300;
const ROUND_MS = 2_000;
export const SETTLE_AFTER_MS: number = 10_000;
/** Topics are made in this order, with one that keeps little between them; the first is never dropped to make room. */
const KEPT_TOPIC = 0;
const DELETED_TOPIC = 2;
const SHORT_RETENTION_MS = 200;
const STEPS_MAX = 500;

/** Everything that a scripted life does, whatever its seed; see `ScriptedLife.covered`. */
export const COVERED: readonly string[] = [
  "changes and a segment in held room",
  "checkpoint",
  "checkpoint in held room",
  "checkpoint without room",
  "deletion of a topic",
  "dropped files",
  "full disk",
  "manifest",
  "manifest in held room",
  "manifest without room",
  "prefix of the journal removed",
  "reserve given up",
  "reserve made",
  "retention by age",
  "retention by bytes",
  "retention by force",
  "settle: adopted",
  "settle: rewritten",
  "settle: sorted",
  "settle without room",
  "settled files removed",
  "truncation",
];

/** A journal on a machine of its own, and a life for it in which each of COVERED happens; the same for the same seed. */
export class ScriptedLife {
  /** What has happened. */
  readonly covered: Set<string> = new Set();
  readonly storage: SimulatedStorage;
  readonly shard: SimulatedShard;
  private readonly world: OpenWorld;
  private opened: OpenedJournal | undefined;

  constructor(seed: number, breakage: Breakage = {}) {
    const random = new SeededRandom(seed);
    this.storage = new SimulatedStorage(random);
    this.storage.mkdir("/data/shards");
    const run = breakage.run ?? completeBackgroundJob;
    this.world = {
      storage: this.storage,
      random,
      clock: { nowMs: 0 },
      segmentSizeBytes: SEGMENT_BYTES,
      settling: {
        batchBytes: Number.POSITIVE_INFINITY,
        afterMs: SETTLE_AFTER_MS,
        adoptBytesMin: 1,
        rewriteDeadBytesMin: REWRITE_BYTES,
      },
      breakage: {
        ...breakage,
        run: (storage, job, done) =>
          run(storage, job, (error, result) => {
            for (const what of happened(job, error, result)) this.covered.add(what);
            done(error, result);
          }),
      },
    };
    this.shard = new SimulatedShard(this.world, PAYLOAD_MAX);
  }

  /** What the journal that is open has reported as committed, or is about to; 0 before it is. */
  get reportedPosition(): number {
    return this.opened?.syncer.committedPosition() ?? 0;
  }

  /** Of the journal that is open, or was; 0 before there is one. */
  get epoch(): number {
    return this.opened?.journal.epoch ?? 0;
  }

  /** Lives to the end, or until the machine stops. */
  live(): void {
    const { opened, retention } = this.open();
    new Script(this.world, this.shard, opened, retention, this.covered).play();
  }

  /** What a crash left is opened, read, and brought to rest. @throws Violation or MillraceError when something is amiss */
  recover(): void {
    this.storage.capacityBytes = Number.POSITIVE_INFINITY;
    const { opened, retention } = this.open();
    const check = (): void =>
      checkReads(opened, this.shard.model, this.shard.committedState(), this.world.random);
    check();
    const quiet = new QuietJournal(this.world, opened, this.shard, retention);
    quiet.finish();
    check();
    quiet.check(REWRITE_BYTES);
  }

  private open(): { opened: OpenedJournal; retention: SimulatedRetention } {
    const opened = openJournal(this.world);
    this.opened = opened;
    checkRecovered(opened, this.shard);
    opened.journal.startSettling(new SimulatedOwner(this.shard));
    return { opened, retention: new SimulatedRetention(this.shard, opened.journal, this.world.random) };
  }
}

/** One owner's work, step by step. */
class Script {
  private readonly world: OpenWorld;
  private readonly shard: SimulatedShard;
  private readonly opened: OpenedJournal;
  private readonly retention: SimulatedRetention;
  private readonly covered: Set<string>;
  private readonly reserve: DiskReserve;
  /** Behind a job of this kind others take what room there is. */
  private takesRoomFrom: BackgroundJob["kind"] | undefined;

  constructor(
    world: OpenWorld,
    shard: SimulatedShard,
    opened: OpenedJournal,
    retention: SimulatedRetention,
    covered: Set<string>,
  ) {
    this.world = world;
    this.shard = shard;
    this.opened = opened;
    this.retention = retention;
    this.covered = covered;
    const { storage, background, journal } = opened;
    const { epoch } = journal;
    this.reserve = new DiskReserve({
      storage,
      directory: DIRECTORY,
      background,
      epoch,
      sizeBytes: RESERVE_BYTES,
    });
  }

  play(): void {
    const { journal } = this.opened;
    this.reserve.restore(this.world.clock.nowMs);
    this.shard.createTopic(journal, 2, 0);
    this.shard.createTopic(journal, 2, SHORT_RETENTION_MS);
    this.shard.createTopic(journal, 1, 0);
    this.fillSegments(3);
    this.settle();
    this.plan("age", this.shard.newestTime + 2 * SHORT_RETENTION_MS, Number.POSITIVE_INFINITY, 0);
    this.truncate(0, 0.5);
    this.fillSegments(2);
    journal.adoptOnly = true;
    this.settle();
    journal.adoptOnly = false;
    this.deleteTopic();
    this.truncate(1, 1);
    this.fillSegments(1);
    this.fillDisk();
    this.fillSegments(2);
    this.settle();
    this.plan("bytes", 0, 1, 0);
    this.plan("force", 0, Number.POSITIVE_INFINITY, journal.settledFiles.length);
    this.end();
  }

  /** Segments that end because they are old, each with a checkpoint behind it. */
  private fillSegments(count: number): void {
    const { journal } = this.opened;
    for (let i = 0; i < count; i++) {
      for (const partition of this.shard.partitions) {
        this.stage(partition);
        this.stage(partition);
      }
      this.world.clock.nowMs += ROUND_MS;
      this.shard.roll(journal);
      this.rest();
      this.checkpoint();
    }
  }

  /** What has ended waits long enough. */
  private settle(): void {
    this.pass(SETTLE_AFTER_MS);
    this.checkpoint();
  }

  private checkpoint(): void {
    const { journal } = this.opened;
    this.shard.stageChanges(journal, []);
    journal.checkpoint(this.shard.encodeState(), false);
    this.rest();
  }

  private stage(partition: ModelPartition): void {
    this.shard.stage(this.opened, () => this.flush(), partition);
  }

  /** Moves the start of a log of the topic that stays: `share` of what it has is given up. */
  private truncate(partition: number, share: number): void {
    const { nextOffset } = this.shard.find(KEPT_TOPIC, partition) as ModelPartition;
    const change = ["start", KEPT_TOPIC, partition, Math.floor(nextOffset * share)] as const;
    this.shard.stageChanges(this.opened.journal, [change]);
    this.rest();
    this.covered.add("truncation");
    this.plan("nothing", 0, Number.POSITIVE_INFINITY, 0);
  }

  private deleteTopic(): void {
    this.shard.deleteTopic(this.opened.journal, DELETED_TOPIC);
    this.rest();
    this.covered.add("deletion of a topic");
    this.plan("nothing", 0, Number.POSITIVE_INFINITY, 0);
  }

  /** One plan, and all that follows from it. */
  private plan(by: string, nowMs: number, keepBytes: number, dropThrough: number): void {
    const { journal } = this.opened;
    const before = this.starts();
    const files = journal.settledFiles.length;
    this.retention.planWith(nowMs, keepBytes, dropThrough);
    this.rest();
    if (by !== "nothing" && this.starts() !== before) this.covered.add(`retention by ${by}`);
    if (journal.settledFiles.length < files) this.covered.add("dropped files");
    // What is dropped or written anew goes from the disk, and the journal's prefix behind two checkpoints.
    this.checkpoint();
  }

  private starts(): string {
    return JSON.stringify(this.shard.committedState().partitions());
  }

  /**
   * Others take what the disk has left: writes find no room, so the reserve is given up, and room is held in it for changes,
   * a segment and a manifest that free space. Then others take the rest, until there is room again.
   */
  private fillDisk(): void {
    const { shard, reserve, opened } = this;
    const { journal } = opened;
    const { storage } = this.world;
    storage.capacityBytes = storage.usedBytes;
    for (let i = 0; i < STEPS_MAX && !journal.isFull; i++) {
      this.stage(shard.partitions[i % shard.partitions.length] as ModelPartition);
      this.flush();
    }
    expect(journal.isFull, () => "the disk was not full");
    journal.adoptOnly = true;
    if (reserve.release()) this.covered.add("reserve given up");
    this.rest();
    expect(!journal.isFull, () => "the reserve gave no room");
    shard.roll(journal);
    this.checkpoint();
    expect(journal.holdRoom(HELD_BYTES), () => "the reserve gave no room to be held");
    storage.capacityBytes = storage.usedBytes;
    this.writeInHeldRoom();
    // Room for what settling makes of the segments that are due, but not for the manifest.
    storage.capacityBytes += 4 * SEGMENT_BYTES;
    this.takesRoomFrom = "settle";
    this.pass(SETTLE_AFTER_MS);
    this.takesRoomFrom = undefined;
    // What failed for want of room is tried again, in what is held.
    this.pass(SETTLE_AFTER_MS);
    storage.capacityBytes = Number.POSITIVE_INFINITY;
    this.pass(SETTLE_AFTER_MS);
    expect(journal.holdRoom(HELD_BYTES), () => "room is not held anew");
    storage.capacityBytes = storage.usedBytes;
    this.checkpoint();
    storage.capacityBytes = Number.POSITIVE_INFINITY;
    journal.adoptOnly = false;
    journal.holdRoom(0);
    reserve.expectRoom();
    for (let i = 0; i < 4; i++) this.pass(ROUND_MS);
    reserve.restore(this.world.clock.nowMs);
    this.rest();
    expect(!reserve.isSpent, () => "the reserve is not made again");
  }

  /** Nobody else has room; nor have settling and a checkpoint. */
  private writeInHeldRoom(): void {
    const { shard } = this;
    const { journal } = this.opened;
    this.checkpoint();
    shard.roll(journal);
    this.rest();
    expect(!journal.isFull, () => "held room was not there");
    this.covered.add("changes and a segment in held room");
    this.pass(SETTLE_AFTER_MS);
  }

  private pass(ms: number): void {
    this.world.clock.nowMs += ms;
    this.rest();
  }

  /** The owner's orderly end. */
  private end(): void {
    const { journal } = this.opened;
    this.retention.stop();
    journal.checkpoint(this.shard.encodeState(), true);
    this.rest();
    journal.close();
  }

  private flush(): void {
    if (this.opened.journal.flush() === DISK_FULL) this.covered.add("full disk");
    this.shard.releaseRing();
  }

  /** Until nothing happens any more at this time. */
  private rest(): void {
    const { journal, syncer } = this.opened;
    let isBusy = true;
    for (let steps = 0; isBusy; steps++) {
      expect(steps < STEPS_MAX, () => "the journal never comes to rest");
      this.flush();
      journal.requestSync();
      isBusy = syncer.step();
      this.noteCommitted();
      for (let kind = this.runJob(); kind !== undefined; kind = this.runJob()) isBusy = true;
    }
  }

  private runJob(): BackgroundJob["kind"] | undefined {
    const { storage, random } = this.world;
    const kind = this.opened.background.step(random);
    if (kind === this.takesRoomFrom && kind !== undefined) storage.capacityBytes = storage.usedBytes;
    this.noteCommitted();
    return kind;
  }

  private noteCommitted(): void {
    this.shard.noteCommitted(this.opened.journal, this.opened.journal.committedPosition());
    this.retention.committed();
  }
}

/** What a job has done, in the words of COVERED. */
function happened(job: BackgroundJob, error?: Error, result?: BackgroundResult): string[] {
  const isFull = isDiskFull(error);
  if (error !== undefined && !isFull) return [];
  const without = isFull ? " without room" : "";
  if (job.kind === "settle") {
    if (result?.kind !== "settled") return [`settle${without}`];
    if (job.sources[0]?.kind === "settled") return ["settle: rewritten"];
    return result.files.map(({ adopted }) => (adopted ? "settle: adopted" : "settle: sorted"));
  }
  if (job.kind === "write-file") {
    if (job.overwrites === true && !isFull)
      return [`${job.path.endsWith(".ckpt") ? "checkpoint" : "manifest"} in held room`];
    return [job.path.endsWith(".ckpt") ? `checkpoint${without}` : `manifest${without}`];
  }
  if (job.kind === "prepare-segment") return job.path.includes("reserve") && !isFull ? ["reserve made"] : [];
  if (job.kind !== "unlink" || isFull) return [];
  const removed: string[] = [];
  if (job.paths.some((path) => path.endsWith(".log"))) removed.push("prefix of the journal removed");
  if (job.paths.some((path) => path.endsWith(".settled"))) removed.push("settled files removed");
  return removed;
}
