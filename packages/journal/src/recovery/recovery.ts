import { attemptBackgroundJob } from "../background.ts";
import {
  CHECKPOINT_FORMAT_VERSION,
  type Checkpoint,
  checkpointFileName,
  decodeCheckpoint,
  parseCheckpointFileName,
  restoreIndex,
} from "../checkpoint/checkpoint-layout.ts";
import type { EntryCheck } from "../entry/entry-check.ts";
import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JournalIndex } from "../lookup/journal-index.ts";
import { sidecarJob } from "../lookup/sidecar-writer.ts";
import { FENCE_FILE, replaceFileFenced, requireFence } from "../ownership/fence.ts";
import { refuseQuarantined } from "../ownership/quarantine.ts";
import { chainSegments, type LiveSegment } from "../segment/segment-chain.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SEGMENT_FORMAT_VERSION,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
  segmentSeed,
  sidecarFileName,
} from "../segment/segment-layout.ts";
import { type BadEntry, type ScanEnd, scanEntries } from "../segment/segment-scan.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import type { RecoveredSettling } from "../settled/settler.ts";
import { readFile, type Storage } from "../storage/storage.ts";
import { findDurabilityProof } from "./durability-proof.ts";
import { refuseDamaged, refuseNewer } from "./refusal.ts";
import { SettledRecovery } from "./settled-recovery.ts";
import { TailCut } from "./tail-cut.ts";
import { takeShardOver } from "./take-over.ts";

/** Takes what recovery finds, in order. It runs inside `Journal.open`; a throw ends the recovery. */
export interface ReplayHandler {
  /** The index that recovery fills; called first. Batches are added by the journal itself during replay. */
  onIndex?(index: JournalIndex): void;
  /** The shard's part of the newest good checkpoint; not called when there is none. The bytes may be kept. */
  onCheckpoint(state: Uint8Array): void;
  /** One entry behind the checkpoint, at byte `index` of memory that lasts until the call returns. */
  onEntry(words: Int32Array, bytes: Buffer, index: number, position: number): void;
}

export interface RecoveryOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly shardId: number;
  readonly entropy: { uint32(): number };
  readonly replay: ReplayHandler;
  readonly check: EntryCheck;
}

/** What recovery found, for the log. */
export interface RecoveryReport {
  /** Position of the checkpoint that was used; 0 without one. */
  readonly checkpointPosition: number;
  readonly entries: number;
  /** Bytes of entries read behind the checkpoint. */
  readonly bytes: number;
  /** Bytes that were cut off behind the last good entry, zeros not counted. */
  readonly tornBytes: number;
  /** What was found and overcome, one sentence each. */
  readonly warnings: readonly string[];
}

export interface Recovered {
  readonly epoch: number;
  readonly journalId: number;
  readonly index: JournalIndex;
  /** End of the journal, where this epoch's first segment begins; everything before it is durable. */
  readonly position: number;
  /** Of the next entry. */
  readonly sequence: number;
  /** Positions of the checkpoints that exist, oldest first, but for those that were found damaged. */
  readonly checkpoints: readonly number[];
  readonly damagedCheckpoints: readonly number[];
  readonly settling: RecoveredSettling;
  readonly cleanShutdown: boolean;
  readonly report: RecoveryReport;
}

const WINDOW_BYTES = 1_048_576;
const FIRST_SEQUENCE = 1;
/** The end of the journal. */
interface JournalEnd {
  readonly position: number;
  readonly sequence: number;
}

/**
 * Takes a shard's folder over and finds where its journal ends: raises the fence, reads the newest good checkpoint and the
 * entries behind it, cuts off a torn tail, and makes durable what is left. Blocks; calls the replay handler.
 *
 * @throws MillraceError JOURNAL_QUARANTINED, JOURNAL_DAMAGED (with `file` and `position`), DATA_FORMAT_NEWER
 */
export function recover(options: RecoveryOptions): Recovered {
  return new Recovery(options).run();
}

class Recovery {
  private readonly options: RecoveryOptions;
  private readonly storage: Storage;
  private readonly directory: string;
  private readonly window: SegmentWindow;
  private readonly tail: TailCut;
  private readonly index: JournalIndex = new JournalIndex();
  private readonly warnings: string[] = [];
  private epoch = 0;
  private journalId = 0;
  private segments: LiveSegment[] = [];
  /** Positions, oldest first. */
  private checkpoints: number[] = [];
  private readonly damagedCheckpoints: number[] = [];
  private checkpoint: Checkpoint | undefined;
  /** Everything before it is settled: replayed for the shard's state where no checkpoint covers it, but not indexed. */
  private settledPosition = 0;
  private manifestName = "";
  /** Segments that hold nothing of the journal: they go once this epoch's first segment says where it has ended. */
  private readonly superseded: LiveSegment[] = [];
  /** The segment in which the journal ends, and the length that it has left of it. */
  private ended: { readonly segment: LiveSegment; readonly length: number } | undefined;
  private entries = 0;
  private bytes = 0;
  /** Names and headers say that everything before it was durable. */
  private provenPosition = 0;

  constructor(options: RecoveryOptions) {
    this.options = options;
    this.storage = options.storage;
    this.directory = options.directory;
    this.window = new SegmentWindow(options.storage, WINDOW_BYTES);
    this.tail = new TailCut(options.storage, this.window, options.directory);
  }

  run(): Recovered {
    const { storage, directory, options } = this;
    if (!storage.exists(directory)) {
      storage.mkdir(directory);
      storage.syncDirectory(parentOf(directory));
    }
    refuseQuarantined(storage, directory);
    const { epoch, journalId, previousEpoch } = takeShardOver(storage, options);
    this.epoch = epoch;
    this.journalId = journalId;
    try {
      return this.recover(previousEpoch);
    } catch (error) {
      // Where somebody else has taken it over meanwhile, what looks like damage is what that one did.
      requireFence(storage, directory, epoch);
      throw error;
    }
  }

  private recover(previousEpoch: number): Recovered {
    const { storage, directory, options } = this;
    const settled = this.readNames();
    options.replay.onIndex?.(this.index);
    settled.restore(this.index);
    this.loadCheckpoint();
    const { position, sequence } = this.replay();
    const settling = settled.takeOver(this.segments);
    this.beginSegment(position);
    requireFence(storage, directory, this.epoch);
    const { checkpoint } = this;
    const cleanBehind = checkpoint?.clean === true && checkpoint.position === position;
    return {
      epoch: this.epoch,
      journalId: this.journalId,
      index: this.index,
      position,
      sequence,
      checkpoints: this.checkpoints.filter((each) => !this.damagedCheckpoints.includes(each)),
      damagedCheckpoints: this.damagedCheckpoints,
      settling,
      // An owner in between that left no entry may still have shown some that it never wrote.
      cleanShutdown: previousEpoch === 0 || (cleanBehind && checkpoint.epoch === previousEpoch),
      report: {
        checkpointPosition: checkpoint?.position ?? 0,
        entries: this.entries,
        bytes: this.bytes,
        tornBytes: this.tail.tornBytes,
        warnings: this.warnings,
      },
    };
  }

  /** Sorts the folder's files, and removes what a newer epoch cut off. Temporary files are gone already. */
  private readNames(): SettledRecovery {
    const { storage, directory, epoch: ownEpoch } = this;
    const { shardId } = this.options;
    const names = storage.list(directory);
    const unwanted: string[] = [];
    const { live, dead } = chainSegments(names, directory, this.journalId);
    for (const { basePosition, epoch } of dead) {
      unwanted.push(segmentFileName(basePosition, epoch));
      const sidecar = sidecarFileName(basePosition, epoch);
      if (names.includes(sidecar)) unwanted.push(sidecar);
    }
    for (const name of unwanted) this.tail.unlink(name);
    this.segments = live;
    const newest = live.at(-1);
    if (newest !== undefined && newest.epoch >= this.epoch) {
      this.refuse(FENCE_FILE, 0, `fence is older than segment ${newest.fileName}`);
    }
    for (const name of names) {
      const position = parseCheckpointFileName(name);
      if (position !== undefined) this.checkpoints.push(position);
    }
    this.checkpoints.sort((a, b) => a - b);
    // A checkpoint gets its name once it is synced, and only ever covers what is committed.
    this.prove(this.newestCheckpoint);
    const folder = { directory, shardId, epoch: ownEpoch };
    const settled = new SettledRecovery(storage, folder, names);
    this.settledPosition = settled.settledPosition;
    this.manifestName = settled.manifestName;
    this.prove(this.settledPosition);
    return settled;
  }

  private loadCheckpoint(): void {
    for (const position of [...this.checkpoints].reverse()) {
      const name = checkpointFileName(position);
      const path = `${this.directory}/${name}`;
      const bytes = readFile(this.storage, path);
      const checkpoint = bytes === undefined ? undefined : decodeCheckpoint(bytes);
      if (checkpoint === undefined || checkpoint.position !== position) {
        this.warnings.push(`checkpoint is damaged and was passed over: ${path}`);
        this.damagedCheckpoints.push(position);
        continue;
      }
      if (checkpoint.version > CHECKPOINT_FORMAT_VERSION) {
        refuseNewer(path, checkpoint.version, CHECKPOINT_FORMAT_VERSION);
      }
      if (checkpoint.shardId !== this.options.shardId) {
        this.refuse(name, 0, `checkpoint belongs to shard ${checkpoint.shardId}`);
      }
      this.checkpoint = checkpoint;
      restoreIndex(checkpoint, this.index, this.settledPosition);
      this.options.replay.onCheckpoint(checkpoint.state);
      return;
    }
  }

  /** Reads everything behind the checkpoint. @returns the end of the journal, durable. */
  private replay(): JournalEnd {
    const start = this.checkpoint?.position ?? 0;
    let sequence = this.checkpoint?.sequence ?? FIRST_SEQUENCE;
    const first = this.findFirst(start);
    const behind = this.segments.slice(Math.max(0, first));
    for (const segment of behind) this.readHeader(segment);
    if (first < 0) {
      // The name of the first segment of all can be lost while that of a later one is not.
      if (this.segments.length > 0) this.judge(-1, start, start, "end of file");
      return this.cut(-1, 0, start, sequence);
    }
    let position = start;
    for (let i = first; i < this.segments.length; i++) {
      const segment = this.segments[i] as LiveSegment;
      const entriesStart = segment.basePosition + SEGMENT_HEADER_BYTES;
      if (segment.syncedPosition === undefined) {
        this.judge(i, segment.basePosition, entriesStart, "header checksum");
        return this.cut(i, first, segment.basePosition, sequence);
      }
      this.enterSegment(segment);
      const limit = this.segments[i + 1]?.basePosition ?? Number.POSITIVE_INFINITY;
      const end = this.scan(segment, Math.max(position, entriesStart), limit, sequence);
      position = end.position;
      sequence = end.sequence;
      if (end.bad === undefined) continue;
      this.judge(i, position, position + 8, end.bad);
      return this.cut(i, first, position, sequence);
    }
    throw new Error("the last segment has no limit, so its scan ends at a bad entry");
  }

  /** The segment in which replay begins, or -1 when there is none. Checks that nothing is missing before it. */
  private findFirst(start: number): number {
    const byName = new Map(this.segments.map((segment) => [segment.fileName, segment]));
    for (const { basePosition, epoch, endPosition } of this.checkpoint?.segments ?? []) {
      if (endPosition <= this.settledPosition) continue;
      const name = segmentFileName(basePosition, epoch);
      const segment = byName.get(name);
      if (segment === undefined) this.refuse(name, basePosition, "segment is missing");
      else this.requireLength(segment, endPosition);
    }
    let first = -1;
    for (let i = 0; i < this.segments.length; i++) {
      if ((this.segments[i] as LiveSegment).basePosition <= start) first = i;
    }
    const segment = this.segments[first];
    if (segment !== undefined) this.requireLength(segment, start);
    else if (this.provenPosition > 0) this.refuse("", start, "segment of this position is missing");
    return first;
  }

  /** Refuses a file that ends before a position that a checkpoint covers. Cheap, and all there is to do for old segments. */
  private requireLength({ path, fileName, basePosition }: LiveSegment, end: number): void {
    const fd = this.storage.open(path, "read");
    const size = this.storage.size(fd);
    this.storage.close(fd);
    if (basePosition + size < end) {
      this.refuse(fileName, basePosition + size, `segment ends before ${end}, which a checkpoint covers`);
    }
  }

  /** Reads what a segment's first bytes say; other facts than its name's are damage, since they carry a checksum. */
  private readHeader(segment: LiveSegment): void {
    const fd = this.storage.open(segment.path, "read");
    try {
      this.window.attach(fd);
      const index = this.window.load(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
      if (index < 0) return;
      const header = decodeSegmentHeader(this.window.bytes.subarray(index, index + SEGMENT_HEADER_BYTES));
      if (header === undefined) return;
      if (header.version > SEGMENT_FORMAT_VERSION) {
        refuseNewer(segment.path, header.version, SEGMENT_FORMAT_VERSION);
      }
      const fits =
        header.seed === segment.seed &&
        header.shardId === this.options.shardId &&
        header.epoch === segment.epoch &&
        header.basePosition === segment.basePosition;
      if (!fits) this.refuse(segment.fileName, segment.basePosition, "header belongs to another segment");
      segment.syncedPosition = header.syncedPosition;
      this.prove(header.syncedPosition);
    } finally {
      this.storage.close(fd);
    }
  }

  /** From here on entries are of this segment: the one before it is complete, and its sidecar can be written. */
  private enterSegment(segment: LiveSegment): void {
    if (segment.basePosition < this.settledPosition) return;
    const active = this.index.openSegments.at(-1);
    if (active?.basePosition === segment.basePosition && active.endPosition === undefined) return;
    this.index.beginSegment(segment.basePosition, segment.epoch);
    this.writeSidecars();
  }

  private scan(segment: LiveSegment, from: number, limit: number, sequence: number): ScanEnd {
    const { index, settledPosition } = this;
    const { replay, check } = this.options;
    const fd = this.storage.open(segment.path, "read");
    try {
      this.window.attach(fd);
      return scanEntries(this.window, segment, check, from, limit, sequence, (words, bytes, at, position) => {
        const word = at >> 2;
        const length = words[word + ENTRY_LENGTH_WORD] as number;
        this.entries++;
        this.bytes += length;
        this.prove(readU64(words, word + ENTRY_SYNCED_POSITION_WORD));
        if (words[word + ENTRY_TYPE_WORD] === ENTRY_TYPE_BATCH && position >= settledPosition) {
          index.add(
            readU32(words, word + ENTRY_TOPIC_ID_WORD),
            readU32(words, word + ENTRY_PARTITION_WORD),
            readU64(words, word + ENTRY_BASE_OFFSET_WORD),
            readU32(words, word + ENTRY_COUNT_WORD),
            readU64(words, word + ENTRY_APPEND_TIME_WORD),
            position,
            length,
          );
        }
        replay.onEntry(words, bytes, at, position);
      });
    } finally {
      this.storage.close(fd);
    }
  }

  /** Decides whether the bad entry at `position` in the i-th segment is a torn tail. @throws JOURNAL_DAMAGED if not */
  private judge(i: number, position: number, searchFrom: number, bad: BadEntry): void {
    const { storage, window, segments, newestCheckpoint, settledPosition, manifestName } = this;
    const { check } = this.options;
    const sources = { storage, window, segments, newestCheckpoint, settledPosition, manifestName, check };
    const proof = findDurabilityProof(sources, i, position, searchFrom);
    if (proof === undefined) return;
    const name = segments[i]?.fileName ?? "";
    this.refuse(name, position, `bad entry (${bad}), which was durable as ${proof} shows`);
  }

  /**
   * Ends the journal at `position` in the i-th segment: makes everything that replay has seen (from the segment `first` on)
   * durable. What is behind goes when this epoch's first segment stands there: should this owner be replaced meanwhile, the
   * next one finds what it has found, or where it has ended.
   */
  private cut(i: number, first: number, position: number, sequence: number): JournalEnd {
    const { index, segments } = this;
    const segment = segments[i];
    const isEmpty = segment !== undefined && position <= segment.basePosition + SEGMENT_HEADER_BYTES;
    const end = isEmpty ? segment.basePosition : position;
    this.superseded.push(...segments.splice(i + 1));
    if (isEmpty) this.superseded.unshift(segments.pop() as LiveSegment);
    this.tail.countTornOf(this.superseded);
    // Settled segments can be settled files at the same time, and are durable.
    const unsettled = segments
      .slice(first)
      .filter(({ basePosition }) => basePosition >= this.settledPosition);
    this.tail.settle(unsettled, end, this.provenPosition);
    const last = unsettled.at(-1);
    if (last !== undefined) this.ended = { segment: last, length: end - last.basePosition };
    const active = index.openSegments.at(-1);
    if (isEmpty && active?.basePosition === segment.basePosition) index.forgetSegment(active);
    index.endSegment(end);
    this.writeSidecars();
    return { position: end, sequence };
  }

  /**
   * Makes the first segment of this epoch, durable before anything is served: it records where the old owner's journal ends,
   * should that one still be writing. Only then may go what stands behind that.
   */
  private beginSegment(basePosition: number): void {
    const { storage, directory, epoch } = this;
    const { shardId } = this.options;
    const seed = segmentSeed(this.journalId, basePosition, epoch);
    const header = encodeSegmentHeader({ seed, shardId, epoch, basePosition, syncedPosition: basePosition });
    const name = segmentFileName(basePosition, epoch);
    replaceFileFenced(storage, directory, name, header, epoch);
    this.tail.remove(this.superseded);
    if (this.ended !== undefined) this.tail.free(this.ended.segment, this.ended.length);
    this.index.beginSegment(basePosition, epoch);
  }

  /**
   * Writes the sidecars of complete segments, so that their points need not stay in memory however long the journal is.
   * Where that fails the journal tries again later.
   */
  private writeSidecars(): void {
    for (let segment = this.index.oldestUnsealed(); segment; segment = this.index.oldestUnsealed()) {
      const job = sidecarJob(segment, this.directory, this.options.shardId, this.epoch);
      const error = attemptBackgroundJob(this.storage, job);
      if (error !== undefined) {
        this.warnings.push(`sidecar could not be written: ${error.message}`);
        return;
      }
      this.index.sealOldest();
    }
  }

  private get newestCheckpoint(): number {
    return this.checkpoints.at(-1) ?? 0;
  }

  private prove(position: number): void {
    if (position > this.provenPosition) this.provenPosition = position;
  }

  private refuse(name: string, position: number, reason: string): never {
    const { directory } = this;
    return refuseDamaged({ directory, shardId: this.options.shardId }, name, position, reason);
  }
}

function parentOf(path: string): string {
  const at = path.replace(/[/\\]+$/, "").search(/[/\\][^/\\]*$/);
  if (at < 0) return ".";
  return at === 0 ? "/" : path.slice(0, at);
}
