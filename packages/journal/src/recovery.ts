import { MillraceError } from "@millrace/protocol";
import { attemptBackgroundJob, type BackgroundJob } from "./background.ts";
import {
  CHECKPOINT_FORMAT_VERSION,
  type Checkpoint,
  checkpointFileName,
  decodeCheckpoint,
  parseCheckpointFileName,
  restoreIndex,
} from "./checkpoint-layout.ts";
import type { EntryCheck } from "./entry-check.ts";
import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "./entry-layout.ts";
import { readFence, writeFence } from "./fence.ts";
import { JournalIndex } from "./journal-index.ts";
import { refuseQuarantined } from "./quarantine.ts";
import {
  decodeSegmentHeader,
  parseSegmentFileName,
  SEGMENT_FORMAT_VERSION,
  SEGMENT_HEADER_BYTES,
  type SegmentName,
  segmentFileName,
  segmentSeed,
  sidecarFileName,
} from "./segment-layout.ts";
import { type BadEntry, findSyncedBeyond, type ScannedSegment, scanEntries } from "./segment-scan.ts";
import { SegmentWindow } from "./segment-window.ts";
import { sidecarJob } from "./sidecar-writer.ts";
import { readFile, type Storage } from "./storage.ts";

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
  /** End of the journal; everything before it is durable. */
  readonly position: number;
  /** Of the next entry. */
  readonly sequence: number;
  /** Positions of the checkpoints that exist, oldest first. */
  readonly checkpoints: number[];
  readonly cleanShutdown: boolean;
  readonly report: RecoveryReport;
}

const WINDOW_BYTES = 1024 * 1024;
const FIRST_SEQUENCE = 1;

interface LiveSegment extends ScannedSegment {
  /** Undefined: the header's bytes are not a header. */
  syncedPosition: number | undefined;
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
  private readonly index: JournalIndex = new JournalIndex();
  private readonly warnings: string[] = [];
  private epoch = 0;
  private journalId = 0;
  private segments: LiveSegment[] = [];
  private checkpoints: number[] = [];
  private checkpoint: Checkpoint | undefined;
  private entries = 0;
  private bytes = 0;
  private tornBytes = 0;

  constructor(options: RecoveryOptions) {
    this.options = options;
    this.storage = options.storage;
    this.directory = options.directory;
    this.window = new SegmentWindow(options.storage, WINDOW_BYTES);
  }

  run(): Recovered {
    const { storage, directory, options } = this;
    if (!storage.exists(directory)) {
      storage.mkdir(directory);
      storage.syncDirectory(parentOf(directory));
    }
    refuseQuarantined(storage, directory);
    const previousEpoch = this.takeFence();
    this.readNames();
    options.replay.onIndex?.(this.index);
    this.loadCheckpoint();
    const { position, sequence } = this.replay();
    const clean = this.checkpoint;
    return {
      epoch: this.epoch,
      journalId: this.journalId,
      index: this.index,
      position,
      sequence,
      checkpoints: this.checkpoints,
      cleanShutdown:
        previousEpoch === 0 ||
        (clean?.clean === true && clean.epoch === previousEpoch && clean.position === position),
      report: {
        checkpointPosition: clean?.position ?? 0,
        entries: this.entries,
        bytes: this.bytes,
        tornBytes: this.tornBytes,
        warnings: this.warnings,
      },
    };
  }

  /** Makes this the owner before anything is read. @returns the epoch of the owner before, 0 for a new shard. */
  private takeFence(): number {
    const { storage, directory } = this;
    const { shardId, entropy } = this.options;
    const fence = readFence(storage, directory);
    if (fence === undefined) {
      const names = storage.list(directory);
      const first = names.find(
        (name) => parseSegmentFileName(name) !== undefined || parseCheckpointFileName(name) !== undefined,
      );
      // The fence is durable before the first file of a journal is made, so somebody removed it.
      if (first !== undefined) this.refuse("fence", 0, `fence file is missing beside ${first}`);
    } else if (fence.shardId !== shardId) {
      this.refuse("fence", 0, `folder belongs to shard ${fence.shardId}, not ${shardId}`);
    }
    this.epoch = (fence?.epoch ?? 0) + 1;
    this.journalId = fence?.journalId ?? entropy.uint32();
    writeFence(storage, directory, { shardId, epoch: this.epoch, journalId: this.journalId });
    return fence?.epoch ?? 0;
  }

  /** Sorts the folder's files, and removes what does not count: temporary files and what a newer epoch cut off. */
  private readNames(): void {
    const { storage, directory } = this;
    const names = storage.list(directory);
    const segments: SegmentName[] = [];
    const unwanted = names.filter((name) => name.endsWith(".tmp"));
    for (const name of names) {
      const segment = parseSegmentFileName(name);
      if (segment !== undefined) segments.push(segment);
      const checkpoint = parseCheckpointFileName(name);
      if (checkpoint !== undefined) this.checkpoints.push(checkpoint);
    }
    this.checkpoints.sort((a, b) => a - b);
    const { live, dead } = chainOf(segments);
    for (const { basePosition, epoch } of dead) {
      unwanted.push(segmentFileName(basePosition, epoch));
      const sidecar = sidecarFileName(basePosition, epoch);
      if (names.includes(sidecar)) unwanted.push(sidecar);
    }
    for (const name of unwanted) storage.unlink(`${directory}/${name}`);
    this.segments = live.map(({ basePosition, epoch }) => ({
      path: `${directory}/${segmentFileName(basePosition, epoch)}`,
      basePosition,
      epoch,
      seed: segmentSeed(this.journalId, basePosition, epoch),
      syncedPosition: undefined,
    }));
    const newest = live.at(-1);
    if (newest !== undefined && newest.epoch >= this.epoch) {
      this.refuse(
        "fence",
        0,
        `fence is older than segment ${segmentFileName(newest.basePosition, newest.epoch)}`,
      );
    }
  }

  private loadCheckpoint(): void {
    for (const position of [...this.checkpoints].reverse()) {
      const name = checkpointFileName(position);
      const path = `${this.directory}/${name}`;
      const bytes = readFile(this.storage, path);
      const checkpoint = bytes === undefined ? undefined : decodeCheckpoint(bytes);
      if (checkpoint === undefined || checkpoint.position !== position) {
        this.warnings.push(`checkpoint is damaged and was passed over: ${path}`);
        continue;
      }
      if (checkpoint.version > CHECKPOINT_FORMAT_VERSION) {
        this.refuseNewer(path, checkpoint.version, CHECKPOINT_FORMAT_VERSION);
      }
      if (checkpoint.shardId !== this.options.shardId) {
        this.refuse(name, 0, `checkpoint belongs to shard ${checkpoint.shardId}`);
      }
      this.checkpoint = checkpoint;
      restoreIndex(checkpoint, this.index);
      this.options.replay.onCheckpoint(checkpoint.state);
      return;
    }
  }

  /** Reads everything behind the checkpoint. @returns the end of the journal, durable. */
  private replay(): { position: number; sequence: number } {
    const start = this.checkpoint?.position ?? 0;
    const first = this.findFirst(start);
    for (const segment of this.segments.slice(Math.max(0, first))) this.readHeader(segment);
    let position = start;
    let sequence = this.checkpoint?.sequence ?? FIRST_SEQUENCE;
    if (first < 0) return { position, sequence };
    for (let i = first; i < this.segments.length; i++) {
      const segment = this.segments[i] as LiveSegment;
      if (segment.syncedPosition === undefined) {
        this.judge(i, segment.basePosition, segment.basePosition + SEGMENT_HEADER_BYTES, "header checksum");
        return this.cut(i, first, segment.basePosition, sequence);
      }
      this.enterSegment(segment);
      const limit = this.segments[i + 1]?.basePosition ?? Number.POSITIVE_INFINITY;
      const from = Math.max(position, segment.basePosition + SEGMENT_HEADER_BYTES);
      const end = this.scan(segment, from, limit, sequence);
      position = end.position;
      sequence = end.sequence;
      if (end.bad === undefined) continue;
      this.judge(i, position, position + 8, end.bad);
      return this.cut(i, first, position, sequence);
    }
    throw new Error("the last segment has no limit, so its scan ends at a bad entry");
  }

  /** The segment in which replay begins, or -1 in an empty journal. Checks that no earlier one is missing. */
  private findFirst(start: number): number {
    const bases = new Set(this.segments.map(({ path }) => path));
    for (const { basePosition, epoch } of this.checkpoint?.segments ?? []) {
      const name = segmentFileName(basePosition, epoch);
      if (!bases.has(`${this.directory}/${name}`)) this.refuse(name, basePosition, "segment is missing");
    }
    let first = -1;
    for (let i = 0; i < this.segments.length; i++) {
      if ((this.segments[i] as LiveSegment).basePosition <= start) first = i;
    }
    const segment = this.segments[first];
    if (segment === undefined) {
      const next = this.segments[0];
      const proven = Math.max(start, this.checkpoints.at(-1) ?? 0);
      if (next !== undefined || proven > 0) {
        this.refuse(next === undefined ? "" : nameOf(next.path), start, "segment is missing before here");
      }
      return -1;
    }
    const fd = this.storage.open(segment.path, "read");
    const size = this.storage.size(fd);
    this.storage.close(fd);
    if (segment.basePosition + size < start) {
      this.refuse(
        nameOf(segment.path),
        segment.basePosition + size,
        `segment ends before checkpoint ${start}`,
      );
    }
    return first;
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
        this.refuseNewer(segment.path, header.version, SEGMENT_FORMAT_VERSION);
      }
      const fits =
        header.seed === segment.seed &&
        header.shardId === this.options.shardId &&
        header.epoch === segment.epoch &&
        header.basePosition === segment.basePosition;
      if (!fits) this.refuse(nameOf(segment.path), segment.basePosition, "header belongs to another segment");
      segment.syncedPosition = header.syncedPosition;
    } finally {
      this.storage.close(fd);
    }
  }

  /** From here on entries are of this segment: the one before it is complete, and its sidecar can be written. */
  private enterSegment(segment: LiveSegment): void {
    const active = this.index.openSegments.at(-1);
    if (active?.basePosition === segment.basePosition && active.endPosition === undefined) return;
    this.index.beginSegment(segment.basePosition, segment.epoch);
    this.writeSidecars();
  }

  private scan(
    segment: LiveSegment,
    from: number,
    limit: number,
    sequence: number,
  ): ReturnType<typeof scanEntries> {
    const { index } = this;
    const { replay, check } = this.options;
    const fd = this.storage.open(segment.path, "read");
    try {
      this.window.attach(fd);
      return scanEntries(this.window, segment, check, from, limit, sequence, (words, bytes, at, position) => {
        const word = at >> 2;
        const length = words[word + ENTRY_LENGTH_WORD] as number;
        this.entries++;
        this.bytes += length;
        if (words[word + ENTRY_TYPE_WORD] === ENTRY_TYPE_BATCH) {
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

  /**
   * Decides whether the bad entry at `position` in the i-th segment is a torn tail. It is, unless something proves that the
   * position had been durable: a checkpoint beyond it, a later epoch's segment (made after everything before it was
   * synced), or a later header, of a segment or an entry, that names a durable position beyond it.
   *
   * @throws MillraceError JOURNAL_DAMAGED
   */
  private judge(i: number, position: number, searchFrom: number, bad: BadEntry): void {
    const segment = this.segments[i] as LiveSegment;
    const proof = this.findProof(i, position, searchFrom);
    if (proof === undefined) return;
    this.refuse(nameOf(segment.path), position, `bad entry (${bad}), which was durable as ${proof} shows`);
  }

  private findProof(i: number, position: number, searchFrom: number): string | undefined {
    const checkpoint = this.checkpoints.at(-1) ?? 0;
    if (checkpoint > position) return checkpointFileName(checkpoint);
    for (let k = i; k < this.segments.length; k++) {
      const segment = this.segments[k] as LiveSegment;
      if (k > i) {
        const before = this.segments[k - 1] as LiveSegment;
        if (segment.epoch > before.epoch && segment.basePosition > position) return nameOf(segment.path);
        if ((segment.syncedPosition ?? 0) > position) return nameOf(segment.path);
      }
      const from = k === i ? searchFrom : segment.basePosition + SEGMENT_HEADER_BYTES;
      const fd = this.storage.open(segment.path, "read");
      try {
        this.window.attach(fd);
        if (findSyncedBeyond(this.window, segment, this.options.check, position, from)) {
          return `a later entry in ${nameOf(segment.path)}`;
        }
      } finally {
        this.storage.close(fd);
      }
    }
    return undefined;
  }

  /**
   * Ends the journal at `position` in the i-th segment: removes later segments, and this one if it holds no entry, frees
   * what is behind, and makes everything that replay has seen durable.
   */
  private cut(
    i: number,
    first: number,
    position: number,
    sequence: number,
  ): { position: number; sequence: number } {
    const { storage, directory, index } = this;
    const segment = this.segments[i] as LiveSegment;
    const isEmpty = position <= segment.basePosition + SEGMENT_HEADER_BYTES;
    const end = isEmpty ? segment.basePosition : position;
    for (let k = this.segments.length - 1; k >= (isEmpty ? i : i + 1); k--) {
      const { path, basePosition, epoch } = this.segments[k] as LiveSegment;
      this.countTorn(path, k === i ? SEGMENT_HEADER_BYTES : 0);
      storage.unlink(path);
      const sidecar = `${directory}/${sidecarFileName(basePosition, epoch)}`;
      if (storage.exists(sidecar)) storage.unlink(sidecar);
      this.segments.pop();
    }
    for (let k = first; k < this.segments.length; k++) {
      const { path, basePosition } = this.segments[k] as LiveSegment;
      if (k === i) this.countTorn(path, position - basePosition);
      const fd = storage.open(path, "readWrite");
      try {
        if (k === i && storage.size(fd) > position - basePosition)
          storage.truncate(fd, position - basePosition);
        storage.sync(fd);
      } finally {
        storage.close(fd);
      }
    }
    storage.syncDirectory(directory);
    const active = index.openSegments.at(-1);
    if (isEmpty && active?.basePosition === segment.basePosition) index.forgetSegment(active);
    index.endSegment(end);
    this.writeSidecars();
    return { position: end, sequence };
  }

  /** What is not zero behind the end, for the report. */
  private countTorn(path: string, from: number): void {
    const { window, storage } = this;
    const fd = storage.open(path, "read");
    try {
      window.attach(fd);
      for (let offset = from; ; ) {
        const index = window.load(offset, 1);
        if (index < 0) return;
        const length = window.available(index);
        let at = index;
        // Word by word, since a segment zeroed ahead can have all of its bytes here.
        for (; (at & 3) === 0 && at + 4 <= index + length; at += 4)
          if (window.words[at >> 2] !== 0) this.tornBytes += 4;
        for (; at < index + length; at++) if (window.bytes[at] !== 0) this.tornBytes++;
        offset += length;
      }
    } finally {
      storage.close(fd);
    }
  }

  /**
   * Writes the sidecars of complete segments, so that their points need not stay in memory however long the journal is.
   * Where that fails the journal tries again later.
   */
  private writeSidecars(): void {
    for (let segment = this.index.oldestUnsealed(); segment; segment = this.index.oldestUnsealed()) {
      const job: BackgroundJob = sidecarJob(segment, this.directory, this.options.shardId, this.epoch);
      const error = attemptBackgroundJob(this.storage, job);
      if (error !== undefined) {
        this.warnings.push(`sidecar could not be written: ${error.message}`);
        return;
      }
      this.index.sealOldest();
    }
  }

  private refuse(name: string, position: number, reason: string): never {
    const file = name === "" ? this.directory : `${this.directory}/${name}`;
    throw new MillraceError("JOURNAL_DAMAGED", `${reason}: ${file} position ${position}`, {
      details: { file, position, shardId: this.options.shardId },
    });
  }

  private refuseNewer(file: string, version: number, versionMax: number): never {
    throw new MillraceError(
      "DATA_FORMAT_NEWER",
      `file has format ${version}, newer than ${versionMax}: ${file}`,
      {
        details: { file, version, versionMax },
      },
    );
  }
}

/**
 * The segments that make up the journal, by position. Where a newer epoch begins, the older ones have ended: what they hold
 * there was cut off when the newer owner took over, or written by somebody who did not know.
 */
function chainOf(segments: readonly SegmentName[]): { live: SegmentName[]; dead: SegmentName[] } {
  const newestFirst = [...segments].sort((a, b) => b.epoch - a.epoch || b.basePosition - a.basePosition);
  const live: SegmentName[] = [];
  const dead: SegmentName[] = [];
  let cut = Number.POSITIVE_INFINITY;
  let cutOfEpoch = Number.POSITIVE_INFINITY;
  let epoch = -1;
  for (const segment of newestFirst) {
    if (segment.epoch !== epoch) {
      cut = Math.min(cut, cutOfEpoch);
      epoch = segment.epoch;
    }
    cutOfEpoch = Math.min(cutOfEpoch, segment.basePosition);
    if (segment.basePosition < cut) live.push(segment);
    else dead.push(segment);
  }
  return { live: live.reverse().sort((a, b) => a.basePosition - b.basePosition), dead };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function parentOf(path: string): string {
  const at = path.replace(/[/\\]+$/, "").search(/[/\\][^/\\]*$/);
  return at <= 0 ? (at === 0 ? "/" : ".") : path.slice(0, at);
}
