import type { Background, BackgroundResult } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { JournalIndex } from "../lookup/journal-index.ts";
import { errorCodeOf, isDiskFull } from "../storage/storage.ts";
import { FileRemoval, type SettledSegment } from "./file-removal.ts";
import { ManifestChange } from "./manifest-change.ts";
import { encodeManifest, manifestFileName, type SettledFile } from "./manifest-layout.ts";
import type { RetentionJob, RetentionPlan, SettleJob, SettleResult, SettleSource } from "./settle-jobs.ts";
import { type SettlingPolicy, segmentsDue, settlingPace } from "./settle-policy.ts";
import { settledFileName } from "./settled-layout.ts";

/** What the shard knows and the journal does not. */
export interface SettlingOwner {
  /**
   * SETTLE_FIELDS numbers for each partition, sorted by topicId and partition: what belongs to no partition, or lies below its
   * log start, is dropped. So a partition is there from before its first entry is staged until its deletion is durable, and
   * log starts are as committed. Called from within the journal's methods.
   */
  settleRows(): Float64Array;
}

/** What recovery found of the settled files. */
export interface RecoveredSettling {
  /** By base position and part. */
  readonly files: readonly SettledFile[];
  /** Everything before it is settled or gone. */
  readonly settledPosition: number;
  /** Of the manifest; 0 when there is none. */
  readonly generation: number;
  /** Segments before settledPosition that still have files, oldest first. */
  readonly prefix: readonly SettledSegment[];
  /** Names of files that nothing refers to. */
  readonly unwanted: readonly string[];
}

export interface SettlerOptions {
  readonly directory: string;
  readonly shardId: number;
  readonly epoch: number;
  readonly journalId: number;
  readonly segmentSizeBytes: number;
  readonly policy: SettlingPolicy;
  readonly index: JournalIndex;
  readonly background: Background;
  /** Gives a file of zeros this name; false when there is none. */
  readonly lendRoom: (path: string) => boolean;
  readonly recovered: RecoveredSettling;
  /** Position of the older of the kept checkpoints; 0 while there are not enough. */
  readonly oldestCheckpoint: () => number;
  /** Bytes of ended segments that are not settled. */
  readonly backlogBytes: () => number;
  /** The journal was closed or has failed: nothing is begun any more. */
  readonly isStopped: () => boolean;
}

const WARNINGS_MAX = 16;

/**
 * Settles ended segments, drops and rewrites settled files, and removes what no manifest needs any more. It changes the
 * manifest by one operation at a time: a job makes files, then the manifest is replaced, and only when that is durable does
 * anybody learn of it here. Shard thread only; nothing blocks.
 */
export class Settler {
  /** Segments get footers and are not copied: the disk is low. */
  adoptOnly = false;

  private readonly options: SettlerOptions;
  private readonly removal: FileRemoval;
  private owner: SettlingOwner | undefined;
  private files: readonly SettledFile[];
  private position: number;
  private manifestGeneration: number;
  /** What waits for its manifest: the files of it are durable. */
  private change: ManifestChange | undefined;
  private reclaimable: { readonly files: readonly SettledFile[]; readonly plan: RetentionPlan } | undefined;
  /** Files that are mostly dead. */
  private rewritable: SettledFile[] = [];
  /** Of the oldest segment, if a sort met damage there: it is adopted as it is. */
  private damagedBase: number | undefined;
  /** By base position: a number that no settled file of it has had. */
  private readonly nextPart: Map<number, number> = new Map();
  private readonly warnings: string[] = [];

  private inFlight = false;
  private failed: Error | undefined;
  private retryAtMs = 0;
  private retryAfterMs: number = JOURNAL_LIMITS.retryAfterMs;
  private committed = 0;
  private nowMs = 0;

  constructor(options: SettlerOptions) {
    const { recovered, background, isStopped } = options;
    this.options = options;
    this.files = recovered.files;
    this.position = recovered.settledPosition;
    this.manifestGeneration = recovered.generation;
    this.removal = new FileRemoval(background, options, recovered, isStopped);
  }

  /** By base position and part. Replaced as a whole. */
  get settledFiles(): readonly SettledFile[] {
    return this.files;
  }

  get settledPosition(): number {
    return this.position;
  }

  /** Of the manifest that counts; 0 while there is none. */
  get generation(): number {
    return this.manifestGeneration;
  }

  /** Why the last attempt at anything failed; undefined once one succeeded. */
  get failure(): Error | undefined {
    return this.failed ?? this.removal.failure;
  }

  /** A reclaim was asked for and its files are still listed. */
  get isReclaiming(): boolean {
    return this.reclaimable !== undefined || this.change?.isReclaim === true;
  }

  /** Whether nothing is under way or left to do right now. */
  get isIdle(): boolean {
    return !this.inFlight && this.change === undefined && this.removal.isIdle && !this.isReclaiming;
  }

  /** From now on segments are settled. */
  start(owner: SettlingOwner): void {
    this.owner = owner;
  }

  /** What was found and overcome since the last call, one sentence each. */
  takeWarnings(): string[] {
    return this.warnings.splice(0);
  }

  /** See `Journal.planRetention`. */
  planRetention(
    job: Pick<RetentionJob, "files" | "partitions" | "nowMs" | "dropThrough">,
    done: (error?: Error, plan?: RetentionPlan) => void,
  ): void {
    const { background, directory, shardId } = this.options;
    background.submit({ kind: "plan-retention", directory, shardId, ...job }, (error, plan) => {
      if (plan?.kind === "retention-plan") done(undefined, plan);
      else done(error ?? new Error("a retention job ended without a plan"));
    });
  }

  /** Drops the files without living entries and, when it has time, rewrites those that are mostly dead. */
  reclaim(files: readonly SettledFile[], plan: RetentionPlan): void {
    this.reclaimable = { files, plan };
  }

  /** Begins the next operation if there is one to begin. Cheap when there is none. */
  poll(committedPosition: number, nowMs: number): void {
    this.committed = committedPosition;
    this.nowMs = nowMs;
    this.removal.poll(nowMs, Math.min(this.position, this.options.oldestCheckpoint()));
    if (this.inFlight || nowMs < this.retryAtMs || this.options.isStopped()) return;
    if (this.change === undefined && this.reclaimable !== undefined) this.change = this.drop();
    if (this.change !== undefined) this.replaceManifest(this.change);
    else if (this.owner !== undefined) this.settle(this.owner);
  }

  /** Has the oldest segments settled when that is due, or else a file rewritten. */
  private settle(owner: SettlingOwner): void {
    const { index, policy, backlogBytes, segmentSizeBytes } = this.options;
    const sealed = index.sealedSegments;
    const due = segmentsDue(sealed, this.committed, this.nowMs, policy);
    if (due === 0) {
      // What failed last does not wait any more.
      if (this.adoptOnly || !this.rewrite(owner)) this.failed = undefined;
      return;
    }
    const isDamaged = sealed[0]?.basePosition === this.damagedBase;
    const segments = sealed.slice(0, isDamaged ? 1 : due);
    const sources = segments.map(({ basePosition, epoch, endPosition }, i): SettleSource => {
      const next = sealed[i + 1] ?? index.openSegments[0];
      // Damage cannot be copied.
      const copy = next?.epoch !== epoch && !isDamaged;
      return { kind: "segment", basePosition, epoch, endPosition, copy };
    });
    // Where a copy found no room a footer may.
    const method = this.adoptOnly || isDamaged || isDiskFull(this.failed) ? "adopt" : "auto";
    const pace = settlingPace(backlogBytes(), segmentSizeBytes);
    this.run(
      this.job(sources, 0, owner, method, pace),
      (result) => {
        if (!segments.some(({ endPosition }) => endPosition === result.endPosition)) {
          throw new Error(`settle job ended inside a segment: endPosition=${result.endPosition}`);
        }
        return new ManifestChange([], result.files, result.endPosition, [[result.added, 1]]);
      },
      (error) => {
        // It is always about the first source: a stretch that is sorted ends before one that is damaged.
        if (isDamaged || !this.isDamage(error)) return;
        this.damagedBase = segments[0]?.basePosition;
        this.warn(`damage met while settling, so the segment is kept as it is: ${error.message}`);
      },
    );
  }

  /** Also where a disk does not give back what was written, time and again: adopting a segment hardly reads it. */
  private isDamage(error: Error): boolean {
    const code = errorCodeOf(error);
    const isLasting = this.retryAfterMs >= JOURNAL_LIMITS.retryAfterMs * 4;
    return code === "JOURNAL_DAMAGED" || (code === "EIO" && isLasting);
  }

  /** @returns false when there is nothing to rewrite */
  private rewrite(owner: SettlingOwner): boolean {
    if (this.rewritable.length === 0) return false;
    const listed = new Set(this.files.map(settledFileName));
    for (let file = this.rewritable.shift(); file !== undefined; file = this.rewritable.shift()) {
      const part = this.partFor(file.basePosition);
      if (!listed.has(settledFileName(file)) || part > JOURNAL_LIMITS.settledPartMax / 2) continue;
      const source = file;
      this.run(
        this.job([{ kind: "settled", file }], part, owner, "auto", JOURNAL_LIMITS.settleBytesPerSecond),
        (result) =>
          new ManifestChange([source], result.files, this.position, [
            [result.added, 1],
            [result.removed, -1],
          ]),
        (error) => {
          // What the file holds is as good as before; another plan names it again.
          if (isDiskFull(error)) this.rewritable.unshift(source);
          else this.warn(`settled file could not be rewritten: ${error.message}`);
        },
      );
      return true;
    }
    return false;
  }

  private job(
    sources: readonly SettleSource[],
    firstPart: number,
    owner: SettlingOwner,
    method: SettleJob["method"],
    bytesPerSecond: number,
  ): SettleJob {
    const { directory, shardId, epoch, journalId, policy } = this.options;
    const { adoptBytesMin } = policy;
    const partitions = owner.settleRows();
    const kind = "settle";
    return {
      kind,
      directory,
      shardId,
      epoch,
      journalId,
      sources,
      firstPart,
      partitions,
      method,
      adoptBytesMin,
      bytesPerSecond,
    };
  }

  /** Runs a settle job, and then puts what it made into the manifest. */
  private run(
    job: SettleJob,
    changeOf: (result: SettleResult) => ManifestChange,
    onFailure: (error: Error) => void,
  ): void {
    this.inFlight = true;
    this.options.background.submit(job, (error, result) => {
      this.inFlight = false;
      if (this.options.isStopped()) return;
      let failure = error;
      try {
        if (failure === undefined) this.change = changeOf(settleResult(result));
      } catch (unexpected) {
        failure = unexpected as Error;
      }
      if (failure !== undefined) {
        onFailure(failure);
        this.retryLater(failure);
      } else {
        this.succeeded();
      }
    });
  }

  /** The files that can go, unless the plan was made for other files than those that are listed by now. */
  private drop(): ManifestChange | undefined {
    const { files, plan } = this.reclaimable as NonNullable<typeof this.reclaimable>;
    this.reclaimable = undefined;
    const listed = new Set(this.files.map(settledFileName));
    const living = (i: number): number => plan.files[i * 2] as number;
    const dead = files.filter((_, i) => living(i) === 0);
    const livingIn = new Map(files.map((file, i) => [file, living(i)]));
    const bytesOf = (file: SettledFile): number => livingIn.get(file) ?? 0;
    this.rewritable = files.filter((file) => {
      const bytes = bytesOf(file);
      const isWorthIt = file.entryBytes - bytes >= this.options.policy.rewriteDeadBytesMin;
      return bytes > 0 && bytes * 2 < file.entryBytes && isWorthIt;
    });
    // Those first that need the least room: there may not be much.
    this.rewritable.sort((a, b) => bytesOf(a) - bytesOf(b));
    if (dead.length === 0 || !dead.every((file) => listed.has(settledFileName(file)))) return undefined;
    return new ManifestChange(dead, [], this.position, [[plan.freed, -1]], true);
  }

  /** Writes the manifest as the change makes it; until that is durable nothing has changed. */
  private replaceManifest(change: ManifestChange): void {
    const { directory, shardId, epoch, index, background } = this.options;
    const files = change.filesAfter(this.files);
    const generation = this.manifestGeneration + 1;
    const { settledPosition } = change;
    const partitions = change.partitionsAfter(index);
    const content = encodeManifest({ shardId, epoch, generation, settledPosition, files, partitions });
    const path = `${directory}/${manifestFileName(epoch)}`;
    const temporaryPath = `${path}.tmp`;
    const overwrites = isDiskFull(this.failed) && this.options.lendRoom(temporaryPath);
    this.inFlight = true;
    background.submit(
      {
        kind: "write-file",
        directory,
        path,
        temporaryPath,
        chunks: [content],
        appendChecksum: true,
        overwrites,
        epoch,
      },
      (error) => {
        this.inFlight = false;
        if (this.options.isStopped()) return;
        if (error !== undefined) {
          this.retryLater(error);
          return;
        }
        this.change = undefined;
        this.files = files;
        this.position = settledPosition;
        this.manifestGeneration = generation;
        change.applyTo(index);
        this.countParts(change);
        this.removal.addSegments(index.settleThrough(settledPosition));
        this.removal.add(change.removed.map(settledFileName));
        this.succeeded();
      },
    );
  }

  private countParts({ added, removed }: ManifestChange): void {
    for (const { basePosition, part } of added) {
      this.nextPart.set(basePosition, Math.max(part + 1, this.nextPart.get(basePosition) ?? 0));
    }
    for (const { basePosition } of removed) {
      if (!this.files.some((file) => file.basePosition === basePosition)) this.nextPart.delete(basePosition);
    }
  }

  /** A number that no file of this base position has had, so that a name never means two files. */
  private partFor(basePosition: number): number {
    let part = this.nextPart.get(basePosition) ?? 0;
    for (const file of this.files) {
      if (file.basePosition === basePosition) part = Math.max(part, file.part + 1);
    }
    return part;
  }

  private succeeded(): void {
    this.failed = undefined;
    this.retryAtMs = 0;
    this.retryAfterMs = JOURNAL_LIMITS.retryAfterMs;
    this.poll(this.committed, this.nowMs);
  }

  private retryLater(error: Error): void {
    this.failed = error;
    this.retryAtMs = this.nowMs + this.retryAfterMs;
    this.retryAfterMs = Math.min(this.retryAfterMs * 2, JOURNAL_LIMITS.retryAfterMsMax);
  }

  private warn(warning: string): void {
    if (this.warnings.length === WARNINGS_MAX) this.warnings.shift();
    this.warnings.push(warning);
  }
}

function settleResult(result: BackgroundResult | undefined): SettleResult {
  if (result?.kind === "settled") return result;
  throw new Error("a settle job ended without a result");
}
