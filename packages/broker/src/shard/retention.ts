import type { JournalIndex, RetentionJob, RetentionPlan, SettledFile } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { LogLevel } from "../logger.ts";
import type { Clock } from "./clock.ts";
import { type FileLook, FileLooks, mayHold } from "./file-looks.ts";
import type { LogStartMove, LogStarts } from "./log-starts.ts";
import { type Partition, partitionKey } from "./partition.ts";
import { retentionRows } from "./retention-rows.ts";
import type { ShardState } from "./shard-state.ts";

/** What retention needs of the journal. */
export interface RetentionJournal {
  /** Oldest first. */
  readonly settledFiles: readonly SettledFile[];
  /** Changes with them. */
  readonly settledGeneration: number;
  /** Bytes of a partition's entries, settled and not. */
  retainedBytes(topicId: number, partition: number): number;
  /** Of them, `unsettledBytes` are not settled. */
  readonly index: Pick<JournalIndex, "unsettledBytes">;
  /** What was asked of `reclaim` has not happened yet: a plan made now would name the same files. */
  readonly reclaimPending: boolean;
  planRetention(
    job: Pick<RetentionJob, "files" | "partitions" | "nowMs" | "dropThrough">,
    done: (error?: Error, plan?: RetentionPlan) => void,
  ): void;
  /** Once the plan's moves are committed: drops files in which nothing lives, rewrites those in which little does. */
  reclaim(files: readonly SettledFile[], plan: RetentionPlan): void;
}

export interface RetentionContext {
  readonly state: ShardState;
  readonly journal: RetentionJournal;
  readonly logStarts: LogStarts;
  readonly clock: Clock;
  readonly log: (level: LogLevel, event: string, fields: Record<string, unknown>) => void;
  /** Default BROKER_LIMITS.retentionCheckMs. */
  readonly checkMs?: number;
}

/** A file that may be dropped before its time. */
export type DroppableFile = readonly [lastTimeMs: number, sizeBytes: number, hasUnfinished: boolean];

/** What a forced drop took away. */
export interface DroppedFiles {
  readonly files: number;
  readonly bytes: number;
  readonly partitions: number;
  /** The first of them: [topicId, partition, logStartOffset]. */
  readonly starts: readonly (readonly [topicId: number, partition: number, logStartOffset: number])[];
}

/** Starts that a forced drop names. */
const STARTS_NAMED_MAX = 32;
const TOPICS_NAMED_MAX = 8;
const NOTHING_DROPPED: DroppedFiles = { files: 0, bytes: 0, partitions: 0, starts: [] };

/** Index in a row of RetentionPlan.files. */
const PLAN_LIVING_BYTES = 0;
const PLAN_LOOK_AGAIN_MS = 1;
const PLAN_FILE_FIELDS = 2;
const MOVE_FIELDS = 3;

interface ForcedDrop {
  readonly files: number;
  readonly done: (dropped: DroppedFiles) => void;
}

/** A plan that has been made, or could not be. */
interface PlannedRetention {
  readonly looks: readonly FileLook[];
  readonly beyond: ReadonlySet<Partition>;
  readonly drop: ForcedDrop | undefined;
  readonly error: Error | undefined;
  readonly plan: RetentionPlan | undefined;
}

/**
 * Retention of a shard: finds settled files of which something may go, by age, by bytes or because the volume is full, moves
 * the starts of logs, and has the journal drop what no log holds any more. Files are read in the background; the order is
 * always plan, move, commit, reclaim, so that a crash leaves too much rather than too little. One plan at a time.
 * Shard thread only.
 */
export class Retention {
  readonly #context: RetentionContext;
  readonly #checkMs: number;
  readonly #files: FileLooks = new FileLooks();
  #generation = -1;
  #started = false;
  /** Monotonic. */
  #nextCheckMs = 0;
  #lastCheckMs = Number.NEGATIVE_INFINITY;
  /** A plan is being made, or its moves wait for their commit. */
  #busy = false;
  #planned: PlannedRetention | undefined;
  /** Topics to which something happened meanwhile. */
  readonly #touched: Set<number> = new Set();
  /** By partition: what it retained when its bound was looked at last. */
  readonly #seenBytes: Map<number, number> = new Map();
  /** Asked for, and not begun. */
  #drop: ForcedDrop | undefined;
  #dropping = false;
  #failure = "";

  constructor(context: RetentionContext) {
    this.#context = context;
    this.#checkMs = context.checkMs ?? BROKER_LIMITS.retentionCheckMs;
  }

  /** All partitions are known: nothing is looked at before. */
  start(): void {
    this.#started = true;
  }

  /** Bytes of settled files, without what the journal was asked to drop. */
  get settledBytes(): number {
    return this.#files.bytes;
  }

  /**
   * The files that may be dropped before their time, in the order in which they would be: the oldest first, and last those that
   * may hold records which somebody has yet to finish.
   */
  oldest(limit: number): DroppableFile[] {
    const hasUnfinished = this.#unfinished();
    return this.#files.droppable(limit, hasUnfinished).map(({ file }) => {
      return [file.lastTime, file.sizeBytes, hasUnfinished(file)];
    });
  }

  /** The topic was altered, truncated or deleted. */
  changed(topicId: number): void {
    this.#files.touch(topicId);
    if (this.#busy) this.#touched.add(topicId);
    for (const partition of this.#context.state.partitions.values()) {
      if (partition.topicId === topicId) this.#seenBytes.delete(keyOf(partition));
    }
    this.#checkSoon();
  }

  /**
   * Drops so many of the files that `oldest` has named, whatever their age; the catalog stays. `done` runs when that is
   * durable and the journal was asked to drop the files.
   * @throws MillraceError THROTTLED while another one is under way
   */
  dropOldest(files: number, done: (dropped: DroppedFiles) => void): void {
    if (this.#dropping) {
      throw new MillraceError("THROTTLED", "files are being dropped already");
    }
    this.#dropping = true;
    const finish = (dropped: DroppedFiles): void => {
      this.#dropping = false;
      done(dropped);
    };
    this.#drop = { files, done: finish };
    // The volume is full: at once.
    this.#nextCheckMs = Number.NEGATIVE_INFINITY;
  }

  /** Part of the duty cycle; cheap when nothing is due. @returns an amount of work */
  doWork(nowMs: number): number {
    const { journal } = this.#context;
    if (!this.#started) return 0;
    if (journal.settledGeneration !== this.#generation) {
      this.#generation = journal.settledGeneration;
      this.#files.update(journal.settledFiles);
      this.#checkSoon();
    }
    const planned = this.#planned;
    if (planned !== undefined) {
      this.#planned = undefined;
      this.#carryOut(planned);
      return 1;
    }
    if (this.#busy || journal.reclaimPending || nowMs < this.#nextCheckMs) return 0;
    this.#check(nowMs);
    return 1;
  }

  nextTimerMs(nowMs: number): number {
    if (this.#planned !== undefined) return 0;
    const waits = this.#busy || !this.#started || this.#context.journal.reclaimPending;
    const nothing = this.#files.looks.length === 0 && this.#drop === undefined;
    return waits || nothing ? Number.POSITIVE_INFINITY : Math.max(0, this.#nextCheckMs - nowMs);
  }

  #checkSoon(): void {
    this.#nextCheckMs = Math.min(this.#nextCheckMs, this.#lastCheckMs + BROKER_LIMITS.retentionGapMs);
  }

  #check(nowMs: number): void {
    this.#lastCheckMs = nowMs;
    this.#nextCheckMs = nowMs + this.#checkMs;
    const drop = this.#drop;
    if (drop !== undefined) {
      this.#drop = undefined;
      const limit = Math.min(drop.files, BROKER_LIMITS.retentionFilesMax);
      const oldest = this.#files.droppable(limit, this.#unfinished());
      if (oldest.length === 0) drop.done(NOTHING_DROPPED);
      else this.#plan(oldest, new Set(), drop);
      return;
    }
    const limit = BROKER_LIMITS.retentionFilesMax;
    const due = this.#files.due(this.#context.clock.wallMs(), limit);
    // The rest of a long list: not all at once, and not only when the next timer fires.
    if (due.length === limit) this.#checkSoon();
    const beyond = this.#beyondBytes();
    if (due.length > 0 || beyond.size > 0) this.#plan(this.#withFilesOf(due, beyond), beyond, undefined);
  }

  /** Tells files that may hold unfinished records of topics that retain until acknowledged. */
  #unfinished(): (file: SettledFile) => boolean {
    const { state } = this.#context;
    const topicIds = [...state.overflows.keys()].filter((topicId) => {
      return [...state.ofTopic(topicId)].some((partition) => {
        return state.finishersOf(partition).some((queue) => queue.state.floor < partition.highWatermark);
      });
    });
    return (file) => topicIds.some((topicId) => mayHold(file, topicId));
  }

  /** Partitions that have more than their share, unless that was looked at and they have hardly grown since. */
  #beyondBytes(): Set<Partition> {
    const { state, journal } = this.#context;
    const beyond = new Set<Partition>();
    for (const partition of state.partitions.values()) {
      const { retentionBytes } = partition;
      if (retentionBytes === 0 || state.finishersOf(partition).length > 0) continue;
      const retained = journal.retainedBytes(partition.topicId, partition.partition);
      const key = keyOf(partition);
      const seen = this.#seenBytes.get(key) ?? Number.POSITIVE_INFINITY;
      const grown = seen + retentionBytes * BROKER_LIMITS.retentionGrowthPart;
      if (retained <= retentionBytes) this.#seenBytes.delete(key);
      // Less: what an earlier look has found dead is gone.
      else if (retained < seen || retained >= grown) {
        this.#seenBytes.set(key, retained);
        beyond.add(partition);
      }
    }
    return beyond;
  }

  /** A byte bound is judged over all files of its partition. */
  #withFilesOf(due: readonly FileLook[], beyond: ReadonlySet<Partition>): readonly FileLook[] {
    if (beyond.size === 0) return due;
    const isDue = new Set(due);
    const topicIds = [...new Set([...beyond].map(({ topicId }) => topicId))];
    return this.#files.looks.filter(
      (look) => isDue.has(look) || topicIds.some((topicId) => mayHold(look.file, topicId)),
    );
  }

  #plan(looks: readonly FileLook[], beyond: ReadonlySet<Partition>, drop: ForcedDrop | undefined): void {
    const { state, journal, clock } = this.#context;
    const files = looks.map(({ file }) => file);
    // What somebody has to finish goes when it is finished; see AcknowledgedRetention.
    const retentionMs = (partition: Partition): number => {
      return state.finishersOf(partition).length > 0 ? 0 : partition.retentionMs;
    };
    const partitions = retentionRows(state.partitions.values(), retentionMs, (partition) => {
      if (!beyond.has(partition)) return Number.POSITIVE_INFINITY;
      const { topicId, partition: number, retentionBytes } = partition;
      return Math.max(0, retentionBytes - journal.index.unsettledBytes(topicId, number));
    });
    this.#busy = true;
    this.#touched.clear();
    const dropThrough = drop === undefined ? 0 : files.length;
    journal.planRetention({ files, partitions, nowMs: clock.wallMs(), dropThrough }, (error, plan) => {
      // Carried out in the duty cycle, whose errors are the shard's.
      this.#planned = { looks, beyond, drop, error, plan };
    });
  }

  #carryOut(planned: PlannedRetention): void {
    const { plan, error } = planned;
    if (plan === undefined) {
      this.#planFailed(error?.message ?? "no plan");
      this.#giveUp(planned);
      return;
    }
    this.#failure = "";
    const moves = this.#movesOf(plan);
    if (moves === undefined) {
      this.#giveUp(planned);
      this.#checkSoon();
      return;
    }
    try {
      if (moves.length === 0) this.#reclaim(planned, plan, moves);
      else this.#context.logStarts.move(moves, () => this.#reclaim(planned, plan, moves));
    } catch (failure) {
      if (!(failure instanceof MillraceError && failure.code === "DISK_FULL")) throw failure;
      this.#giveUp(planned);
    }
  }

  /** Once for each reason: it is tried again at the next check. */
  #planFailed(message: string): void {
    if (message !== this.#failure) this.#context.log("warn", "retention-failed", { error: message });
    this.#failure = message;
  }

  /** The plan's files and partitions stay due. */
  #giveUp({ beyond, drop }: PlannedRetention): void {
    this.#busy = false;
    for (const partition of beyond) this.#seenBytes.delete(keyOf(partition));
    drop?.done(NOTHING_DROPPED);
  }

  /** @returns undefined when something is committed but not acknowledged yet: that is nobody's to drop. */
  #movesOf({ moves: rows }: RetentionPlan): LogStartMove[] | undefined {
    const moves: LogStartMove[] = [];
    for (let at = 0; at < rows.length; at += MOVE_FIELDS) {
      const partition = this.#context.state.find(rows[at] as number, rows[at + 1] as number);
      // Deleted meanwhile.
      if (partition === undefined) continue;
      const offset = rows[at + 2] as number;
      if (offset > partition.highWatermark) return undefined;
      moves.push({ partition, offset });
    }
    return moves;
  }

  #reclaim({ looks, drop }: PlannedRetention, plan: RetentionPlan, moves: readonly LogStartMove[]): void {
    const { clock, journal, log } = this.#context;
    const nowMs = clock.wallMs();
    const gone: SettledFile[] = [];
    let livesWhole = true;
    looks.forEach((look, i) => {
      const livingBytes = plan.files[i * PLAN_FILE_FIELDS + PLAN_LIVING_BYTES] as number;
      const againMs = plan.files[i * PLAN_FILE_FIELDS + PLAN_LOOK_AGAIN_MS] as number;
      this.#files.looked(look, livingBytes, againMs, nowMs);
      if (drop !== undefined) look.emptied = true;
      if (livingBytes === 0) gone.push(look.file);
      if (livingBytes < look.file.entryBytes) livesWhole = false;
    });
    for (const topicId of this.#touched) this.#files.touch(topicId);
    if (this.#touched.size > 0) this.#checkSoon();
    this.#busy = false;
    const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (moves.length > 0 || gone.length > 0) {
      const topicIds = new Set(moves.map(({ partition }) => partition.topicId));
      log("info", "retention", {
        partitions: moves.length,
        files: gone.length,
        bytes,
        topicIds: [...topicIds].slice(0, TOPICS_NAMED_MAX),
        forced: drop !== undefined,
      });
    }
    const files = looks.map(({ file }) => file);
    if (!livesWhole) journal.reclaim(files, plan);
    drop?.done({
      files: gone.length,
      bytes,
      partitions: moves.length,
      starts: moves.slice(0, STARTS_NAMED_MAX).map(({ partition, offset }) => {
        return [partition.topicId, partition.partition, offset] as const;
      }),
    });
  }
}

function keyOf({ topicId, partition }: Partition): number {
  return partitionKey(topicId, partition);
}
