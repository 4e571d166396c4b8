import { MillraceError } from "@millrace/protocol";
import { CheckpointWriter } from "./checkpoint/checkpoint-writer.ts";
import { ENTRY_CHECK, isEntryLength, refuseEntry } from "./entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_STATE,
  type EntryFields,
} from "./entry/entry-layout.ts";
import { sealEntry } from "./entry/seal-entry.ts";
import { type JournalOptions, segmentSizeOf } from "./journal-options.ts";
import { JOURNAL_LIMITS } from "./limits.ts";
import type { JournalIndex } from "./lookup/journal-index.ts";
import { SidecarWriter } from "./lookup/sidecar-writer.ts";
import { fenced, holdsFence } from "./ownership/fence.ts";
import { quarantineFor } from "./ownership/quarantine.ts";
import { recoverOrExplain } from "./recovery/open-failure.ts";
import type { Recovered, RecoveryReport } from "./recovery/recovery.ts";
import { HeldRoom } from "./segment/held-room.ts";
import { SegmentAppender } from "./segment/segment-appender.ts";
import { SegmentFile } from "./segment/segment-file.ts";
import { SEGMENT_HEADER_BYTES, segmentSeed } from "./segment/segment-layout.ts";
import { type EntryMemory, StagedRuns } from "./segment/staged-runs.ts";
import { StagingMemory } from "./segment/staging-memory.ts";
import type { SettledFile } from "./settled/manifest-layout.ts";
import type { RetentionJob, RetentionPlan } from "./settled/settle-jobs.ts";
import { settlingPolicy } from "./settled/settle-policy.ts";
import { Settler, type SettlingOwner } from "./settled/settler.ts";
import { isDiskFull, isOutOfFiles, type Storage } from "./storage/storage.ts";
import { type Syncer, writeFailed } from "./sync/syncer.ts";

/** `flush`: everything staged is written. */
export const FLUSHED = 0;
/** `flush`: there is no room (or no file descriptor is left for the next segment). What is staged stays staged; call flush again later. */
export const DISK_FULL = -1;
/** `flush`: the journal has failed for good; `failure` says why. */
export const FAILED = -2;

/**
 * The journal of one shard: an append-only sequence of entries, written straight from the memory they lie in, made
 * durable by a syncer, and found again by the index and the cold reader.
 *
 *     stage ... stage -> flush -> requestSync -> (sync thread) -> committedPosition
 *
 * Positions count bytes from the journal's beginning and never go back. One thread calls all methods; none of them waits
 * for a disk to sync, apart from `open`.
 */
export class Journal {
  /** Of this owner: one more than the owner before. */
  readonly epoch: number;
  /** The owner before stopped with a clean checkpoint and nothing was written since, or the journal is new. */
  readonly cleanShutdown: boolean;
  readonly index: JournalIndex;
  /** What recovery found. */
  readonly recovery: RecoveryReport;

  private readonly directory: string;
  private readonly storage: Storage;
  private readonly clock: { monotonicMs(): number };
  private readonly journalId: number;
  private readonly segmentSizeBytes: number;
  private readonly syncer: Syncer;
  private readonly appender: SegmentAppender;
  private readonly heldRoom: HeldRoom;
  private readonly sidecars: SidecarWriter;
  private readonly checkpoints: CheckpointWriter;
  private readonly settler: Settler;
  private readonly onCommitted: ((position: number) => void) | undefined;
  private readonly runs: StagedRuns = new StagedRuns();
  private readonly staging: StagingMemory = new StagingMemory();

  private segment: SegmentFile;
  /** Bytes that fit into the segment; 0 also while it is empty or staging is refused: one comparison covers all. */
  private room = 0;
  /** Monotonic: when the first entry of the segment was staged. */
  private segmentSinceMs = 0;
  private staged: number;
  private written: number;
  private committed: number;
  private sequence: number;
  private checkpointMark: number;
  private diskFull = false;
  private failed: MillraceError | undefined;
  private closed = false;

  /**
   * Takes the shard's folder over and recovers: blocks until everything that was found is durable.
   *
   * @throws MillraceError JOURNAL_DAMAGED (details.file, details.position), JOURNAL_QUARANTINED, DATA_FORMAT_NEWER,
   * DISK_FULL, JOURNAL_FAILED when the storage fails.
   */
  static open(options: JournalOptions): Journal {
    const size = segmentSizeOf(options);
    return new Journal(options, size, recoverOrExplain({ ...options, check: options.check ?? ENTRY_CHECK }));
  }

  private constructor(options: JournalOptions, segmentSizeBytes: number, recovered: Recovered) {
    const { storage, directory, shardId, background } = options;
    const { epoch, index, position } = recovered;
    this.epoch = epoch;
    this.cleanShutdown = recovered.cleanShutdown;
    this.index = index;
    this.recovery = recovered.report;
    this.directory = directory;
    this.storage = storage;
    this.clock = options.clock;
    this.journalId = recovered.journalId;
    this.segmentSizeBytes = segmentSizeBytes;
    this.onCommitted = options.onCommitted;
    this.segment = this.segmentAt(position);
    this.segment.existsDurably();
    this.staged = position;
    this.written = position;
    this.committed = position;
    this.sequence = recovered.sequence;
    this.checkpointMark = recovered.report.checkpointPosition;
    const own = { storage, background, directory, shardId, epoch, segmentSizeBytes, index };
    this.appender = new SegmentAppender(own, position);
    this.heldRoom = new HeldRoom(this.appender, own);
    const lendRoom = (path: string): boolean => this.heldRoom.lend(path);
    this.checkpoints = new CheckpointWriter({
      ...own,
      lendRoom,
      existing: recovered.checkpoints,
      damaged: recovered.damagedCheckpoints,
    });
    this.settler = new Settler({
      ...own,
      journalId: recovered.journalId,
      policy: settlingPolicy(options.settling ?? {}, segmentSizeBytes),
      lendRoom,
      recovered: recovered.settling,
      oldestCheckpoint: () => this.checkpoints.oldestKept,
      backlogBytes: () => this.backlogBytes,
      isStopped: () => this.closed || this.failed !== undefined,
    });
    this.sidecars = new SidecarWriter(index, background, own, () => this.checkpoints.advance(this.committed));
    this.syncer = options.syncer({ directory, epoch, committedPosition: position });
  }

  /** Behind the last staged entry. */
  get stagedPosition(): number {
    return this.staged;
  }

  /** Behind the last entry that was written, though perhaps not to the disk itself. */
  get writtenPosition(): number {
    return this.written;
  }

  /** Everything before it survives whatever happens to the machine. Asks the syncer; call it once a duty cycle. */
  committedPosition(): number {
    const position = this.syncer.committedPosition();
    if (position > this.committed) {
      this.committed = position;
      this.appender.closeCommitted(position);
      this.checkpoints.advance(position);
      this.onCommitted?.(position);
    }
    if (this.failed === undefined && !this.closed) this.pollFiles(this.clock.monotonicMs());
    return this.committed;
  }

  /** Jobs that failed are due again some time, also while nothing is flushed any more. */
  private pollFiles(nowMs: number): void {
    if (this.index.unsealedCount > 0) this.sidecars.poll(nowMs);
    this.settler.poll(this.committed, nowMs);
  }

  /** Why the journal has failed for good, if it has: a failed write or sync (then it is quarantined), or a new owner. */
  failure(): MillraceError | undefined {
    if (this.failed === undefined) {
      const failure = this.syncer.failure();
      if (failure !== undefined) this.fail(failure);
    }
    return this.failed;
  }

  /** Looks whether nobody has taken the shard over, which ends the journal. Every new owner finds what was written before. */
  isOwner(): boolean {
    if (this.failed !== undefined) return false;
    if (holdsFence(this.storage, this.directory, this.epoch)) return true;
    this.fail(fenced(this.directory, this.epoch));
    return false;
  }

  /** True while the disk is full, or indexing lags far behind: accept no batches. */
  get isFull(): boolean {
    return this.diskFull || this.index.unsealedCount > JOURNAL_LIMITS.sealedPendingMax;
  }

  /** Bytes staged since the last checkpoint was requested. */
  get bytesSinceCheckpoint(): number {
    return this.staged - this.checkpointMark;
  }

  /** True until the requested checkpoint is durable or has failed. */
  get checkpointPending(): boolean {
    return this.checkpoints.isPending;
  }

  /** Why the last checkpoint could not be written; undefined once one was. */
  get checkpointFailure(): Error | undefined {
    return this.checkpoints.failure;
  }

  /**
   * Appends the entry that lies at byte `index` of `memory`, which must keep its bytes until `flush` has returned. The
   * caller has filled in length, type and the fields from topicId to batchCrc; the others are filled in here.
   *
   * @returns the entry's position.
   * @throws RangeError for an entry that cannot be; MillraceError DISK_FULL while `isFull`, JOURNAL_FAILED after a failure
   */
  stage(memory: EntryMemory, index: number): number {
    const words = memory.words;
    const word = index >> 2;
    const length = words[word + ENTRY_LENGTH_WORD] as number;
    const size = alignEntry(length);
    if (size > this.room || !isEntryLength(length) || (index & 7) !== 0) {
      this.makeRoom(index, length, size, false);
    }
    return this.append(memory, index, size);
  }

  /**
   * Appends an entry from bytes that stay the caller's: they are copied. The checksum of the payload is made here.
   * @returns the entry's position.
   * @throws as `stage`; but a full disk refuses entries only once some MiB of them wait.
   */
  stageBytes(type: number, fields: EntryFields, payload: Uint8Array): number {
    const length = ENTRY_HEADER_BYTES + payload.length;
    const size = alignEntry(length);
    if (!isEntryLength(length)) refuseEntry(0, length, this.roomInEmpty);
    if (this.diskFull && this.staging.claimedBytes + size > JOURNAL_LIMITS.entryBytesMax) this.refuse();
    const index = this.staging.place(type, fields, payload);
    if (size > this.room) this.makeRoom(index, length, size, true);
    return this.append(this.staging.memory, index, size);
  }

  /** Appends changes of the shard's state, which apply together. @returns the entry's position. */
  stageState(payload: Uint8Array): number {
    return this.stageBytes(ENTRY_TYPE_STATE, NO_FIELDS, payload);
  }

  /** Appends a batch with its trailer from private memory and adds it to the index. @returns the entry's position. */
  stageBatch(
    topicId: number,
    partition: number,
    baseOffset: number,
    count: number,
    appendTime: number,
    payload: Uint8Array,
  ): number {
    const fields = { topicId, partition, baseOffset, count, appendTime };
    const position = this.stageBytes(ENTRY_TYPE_BATCH, fields, payload);
    const length = ENTRY_HEADER_BYTES + payload.length;
    this.index.add(topicId, partition, baseOffset, count, appendTime, position, length);
    return position;
  }

  /** Writes everything staged. @returns FLUSHED, DISK_FULL or FAILED */
  flush(): number {
    if (this.failure() !== undefined) return FAILED;
    const nowMs = this.clock.monotonicMs();
    if (!this.runs.isEmpty) {
      try {
        this.appender.write(this.runs, this.committed, nowMs);
      } catch (error) {
        return this.writeFailed(error);
      }
      this.written = this.staged;
      this.staging.reset();
      if (this.diskFull) this.acceptAgain();
    }
    // The sync of a complete segment is wanted soon anyway, and its index must not wait for durable entries.
    if (this.appender.hasComplete) this.requestSync();
    if (!this.heldRoom.isWanted) this.appender.prepareNext(nowMs);
    this.pollFiles(nowMs);
    return FLUSHED;
  }

  /** Asks for a sync of what was written; merged with others that are not served yet. Returns at once. */
  requestSync(): void {
    if (this.failed === undefined) this.appender.submit(this.syncer, this.written);
  }

  /**
   * Takes a checkpoint of everything staged: `state` is the shard's memory as those entries made it, and is not used by
   * the caller afterwards. It is written in the background once all of that is committed. `clean` says that nothing
   * will be staged behind it.
   */
  checkpoint(state: Uint8Array, clean: boolean): void {
    if (this.failed !== undefined) return;
    this.checkpoints.request(this.staged, this.sequence, state, clean);
    this.checkpointMark = this.staged;
    this.sidecars.poll(this.clock.monotonicMs());
    if (this.runs.isEmpty) this.requestSync();
    this.checkpoints.advance(this.committedPosition());
  }

  /** From now on ended segments are settled; the shard calls it once its state is that of the end of the journal. */
  startSettling(owner: SettlingOwner): void {
    this.settler.start(owner);
  }

  /** The settled files that count, by base position and part. Replaced as a whole when that changes. */
  get settledFiles(): readonly SettledFile[] {
    return this.settler.settledFiles;
  }

  /** Everything before it is in settled files, or gone. */
  get settledPosition(): number {
    return this.settler.settledPosition;
  }

  /** Of the manifest that lists them, one more with every change; 0 while there is none. */
  get settledGeneration(): number {
    return this.settler.generation;
  }

  /** Bytes of ended segments that are not settled. */
  get backlogBytes(): number {
    const { sealedSegments, openSegments } = this.index;
    const first = (sealedSegments[0] ?? openSegments[0])?.basePosition ?? this.segment.basePosition;
    return this.segment.basePosition - first;
  }

  /** Why the last attempt to settle, to change the manifest or to remove files failed; it is tried again. */
  get settlingFailure(): Error | undefined {
    return this.settler.failure;
  }

  /** What settling found and overcame since the last call (damage in a segment, say), one sentence each. */
  takeSettlingWarnings(): string[] {
    return this.settler.takeWarnings();
  }

  /** True while the disk is low: nothing is copied, segments only get footers. */
  get adoptOnly(): boolean {
    return this.settler.adoptOnly;
  }

  set adoptOnly(value: boolean) {
    this.settler.adoptOnly = value;
  }

  /**
   * Ends the segment that is written to, if it holds an entry; the caller stages one behind it. The next one's file is made
   * first: without room for that (and, while room is held, for entries) nothing changes.
   * @returns whether the next entry begins a segment
   */
  roll(): boolean {
    if (this.staged === this.segment.basePosition) return true;
    const next = this.segmentAt(this.staged);
    const isMade = this.attempt(() => {
      if (!this.heldRoom.hasNext()) return false;
      this.appender.make(next, this.committed);
      return true;
    });
    if (isMade) this.beginSegment(next);
    return isMade;
  }

  /** While the disk runs full: see HeldRoom. Call it now and then; 0 ends it. @returns false when there is no room */
  holdRoom(bytes: number): boolean {
    return this.attempt(() => this.heldRoom.keep(this.segment, bytes));
  }

  /** Time since the first entry of the segment that is written to was staged; 0 while it has none. */
  activeSegmentAgeMs(nowMs: number): number {
    return this.staged === this.segment.basePosition ? 0 : nowMs - this.segmentSinceMs;
  }

  /** Bytes of the partition's entries, settled or not. */
  retainedBytes(topicId: number, partition: number): number {
    return this.index.retainedBytes(topicId, partition);
  }

  /** Has the footers of settled files read in the background, to learn what may be dropped. Changes nothing. */
  planRetention(
    job: Pick<RetentionJob, "files" | "partitions" | "nowMs" | "dropThrough">,
    done: (error?: Error, plan?: RetentionPlan) => void,
  ): void {
    this.settler.planRetention(job, done);
  }

  /**
   * Drops the files that the plan found dead, once its moves are committed, and rewrites those that are mostly dead when
   * there is time. A plan for files that are not listed any more is passed over.
   */
  reclaim(files: readonly SettledFile[], plan: RetentionPlan): void {
    this.settler.reclaim(files, plan);
  }

  /** True from `reclaim` until the manifest is durable without the files: a plan made now would name them again. */
  get reclaimPending(): boolean {
    return this.settler.isReclaiming;
  }

  /** Lets go of files and the syncer. What is not committed by then may be lost. Waits for a sync under way. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.room = 0;
    this.syncer.close();
    this.appender.close();
    this.heldRoom.close();
  }

  private append(memory: EntryMemory, index: number, size: number): number {
    const position = this.staged;
    sealEntry(memory.words, index >> 2, this.epoch, this.sequence, this.committed, this.segment.seed);
    this.runs.add(memory, index, size, this.segment);
    this.sequence++;
    this.staged = position + size;
    this.room -= size;
    return position;
  }

  /** The rare cases of staging: the entry does not fit, cannot be, or is not accepted. */
  private makeRoom(index: number, length: number, size: number, whileFull: boolean): void {
    const fits = size <= this.roomInEmpty;
    if (index % 8 !== 0 || !isEntryLength(length) || !fits) refuseEntry(index, length, this.roomInEmpty);
    if (this.closed || this.failed !== undefined || (this.diskFull && !whileFull)) this.refuse();
    if (this.staged !== this.segment.basePosition && size > this.roomInSegment()) {
      this.beginSegment(this.segmentAt(this.staged));
    }
    if (this.staged === this.segment.basePosition) {
      this.staged += SEGMENT_HEADER_BYTES;
      this.segmentSinceMs = this.clock.monotonicMs();
    }
    this.room = this.roomInSegment();
  }

  private segmentAt(position: number): SegmentFile {
    const seed = segmentSeed(this.journalId, position, this.epoch);
    return new SegmentFile(this.directory, position, this.epoch, seed);
  }

  private beginSegment(segment: SegmentFile): void {
    this.segment = segment;
    this.room = 0;
    this.index.beginSegment(segment.basePosition, this.epoch);
  }

  /** Bytes of entries that a segment takes. */
  private get roomInEmpty(): number {
    return this.segmentSizeBytes - SEGMENT_HEADER_BYTES;
  }

  private roomInSegment(): number {
    return this.segment.basePosition + this.segmentSizeBytes - this.staged;
  }

  private writeFailed(error: unknown): number {
    if (isDiskFull(error) || isOutOfFiles(error)) {
      this.diskFull = true;
      this.room = 0;
      this.written = Math.max(this.written, this.appender.completePosition);
      this.runs.copyOut((memory) => this.staging.owns(memory));
      return DISK_FULL;
    }
    this.fail(writeFailed(this.directory, error));
    return FAILED;
  }

  private acceptAgain(): void {
    this.diskFull = false;
    this.room = this.staged === this.segment.basePosition ? 0 : this.roomInSegment();
  }

  /** @returns false when there is no room, or the journal has ended; any other error ends it */
  private attempt(action: () => boolean): boolean {
    if (this.closed || this.failed !== undefined) return false;
    try {
      return action();
    } catch (error) {
      if (!isDiskFull(error) && !isOutOfFiles(error)) this.fail(writeFailed(this.directory, error));
      return false;
    }
  }

  private fail(failure: MillraceError): void {
    this.failed = failure;
    this.room = 0;
    quarantineFor(failure, this.storage, this.directory, this.epoch, this.committed);
  }

  private refuse(): never {
    if (this.failed !== undefined) throw this.failed;
    if (this.closed) throw new Error(`journal is closed: ${this.directory}`);
    throw new MillraceError("DISK_FULL", `no room on the disk of ${this.directory}`);
  }
}

const NO_FIELDS: EntryFields = {};
