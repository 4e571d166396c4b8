import type { Background } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { PreparedFile } from "../storage/prepared-file.ts";
import { discardFile, type Storage, writeFully, writeZeros } from "../storage/storage.ts";
import type { Syncer } from "../sync/syncer.ts";
import type { SegmentFile } from "./segment-file.ts";
import { encodeSegmentHeader } from "./segment-layout.ts";
import type { StagedRuns } from "./staged-runs.ts";

export interface SegmentAppenderOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly shardId: number;
  readonly epoch: number;
  readonly segmentSizeBytes: number;
  readonly background: Background;
}

/** Only a segment that is this far filled is likely to be followed by another one. */
const PREPARE_FILLED_PART = 1 / 8;

/** Writes staged runs to the files of their segments, and hands files to the syncer. Shard thread only. */
export class SegmentAppender {
  /** What the next segment is made of, if it was zeroed ahead. */
  readonly next: PreparedFile;
  private readonly options: SegmentAppenderOptions;
  private current: SegmentFile | undefined;
  /** It has its file, and nothing was written to it yet. */
  private made: SegmentFile | undefined;
  /** Complete files that wait to be submitted to the syncer, and those that wait for their commit to be closed. */
  private readonly complete: SegmentFile[] = [];
  private readonly submitted: SegmentFile[] = [];
  private submittedPosition: number;
  private endOfComplete = 0;
  private prepareAtMs = 0;

  constructor(options: SegmentAppenderOptions, position: number) {
    const { storage, background, directory, epoch } = options;
    this.options = options;
    this.next = new PreparedFile(storage, background, `${directory}/prepared-${epoch}`);
    this.submittedPosition = position;
  }

  /**
   * Writes all runs. What was written before a throw is taken off the runs, and the rest may be tried again.
   * @param committedPosition goes into the header of a new segment.
   */
  write(runs: StagedRuns, committedPosition: number, nowMs: number): void {
    for (let segment = runs.firstSegment(); segment !== undefined; segment = runs.firstSegment()) {
      if (segment !== this.current || segment.fd < 0) this.begin(segment, committedPosition, nowMs);
      this.writeRuns(runs, segment);
    }
  }

  /** Asks for a sync of everything up to `writtenPosition`, if that was not asked before. */
  submit(syncer: Syncer, writtenPosition: number): void {
    for (const file of this.complete) {
      // Not a file whose end was submitted before: it may be committed, and closed while the request is under way.
      if (file.writtenPosition > this.submittedPosition) this.submitFile(syncer, file, file.writtenPosition);
    }
    this.submitted.push(...this.complete);
    this.complete.length = 0;
    if (this.current !== undefined && writtenPosition > this.submittedPosition) {
      this.submitFile(syncer, this.current, writtenPosition);
    }
  }

  /** Behind the last complete segment: written, even if what follows in the same `write` was not. */
  get completePosition(): number {
    return this.endOfComplete;
  }

  /** True when a complete file waits to be submitted. */
  get hasComplete(): boolean {
    return this.complete.length > 0;
  }

  /** Closes files that nothing will be asked of any more. */
  closeCommitted(committedPosition: number): void {
    while (this.submitted.length > 0) {
      const file = this.submitted[0] as SegmentFile;
      if (file.writtenPosition > committedPosition) return;
      this.options.storage.close(file.fd);
      this.submitted.shift();
    }
  }

  /**
   * Has the next segment zeroed ahead when this one lasts: that halves the time of a sync, but costs as much as writing the
   * data, so not under load.
   */
  prepareNext(nowMs: number): void {
    const { current, next } = this;
    if (!next.isNone || current === undefined || nowMs < this.prepareAtMs) return;
    if (nowMs - current.openedAtMs < JOURNAL_LIMITS.prepareAfterMs) return;
    const { segmentSizeBytes } = this.options;
    if (current.writtenPosition - current.basePosition < segmentSizeBytes * PREPARE_FILLED_PART) return;
    next.prepareLater(segmentSizeBytes, () => {
      this.prepareAtMs = nowMs + JOURNAL_LIMITS.retryAfterMsMax;
    });
  }

  /**
   * Makes the segment's file with its header, or opens the one that recovery has left. The file gets its name last: whatever
   * this throws, the folder is as it was, and the segment before may be written on.
   */
  make(segment: SegmentFile, committedPosition: number): void {
    const { storage, shardId } = this.options;
    const { next } = this;
    if (segment.fd >= 0) return;
    if (segment.hasHeader) {
      segment.fd = storage.open(segment.path, "readWrite");
      this.made = segment;
      return;
    }
    const header = encodeSegmentHeader({
      seed: segment.seed,
      shardId,
      epoch: segment.epoch,
      basePosition: segment.basePosition,
      syncedPosition: committedPosition,
    });
    const ready = next.path;
    const path = ready ?? next.newPath();
    const fd = storage.open(path, ready === undefined ? "create" : "readWrite");
    try {
      writeFully(storage, fd, header, 0, header.length, 0);
      storage.rename(path, segment.path);
    } catch (error) {
      discardFile(storage, fd, path);
      if (ready !== undefined) next.taken();
      throw error;
    }
    segment.fd = fd;
    segment.hasHeader = true;
    segment.writtenPosition = segment.basePosition + header.length;
    segment.heldPosition = segment.basePosition + (ready === undefined ? header.length : next.sizeBytes);
    if (ready !== undefined) next.taken();
    this.made = segment;
  }

  /**
   * Writes zeros where the next `bytes` of the segment will stand, as far as that was not done before: their room cannot be
   * taken by others then. Does nothing while entries wait for a file that could not be made.
   * @throws what the storage throws; what was held before still is.
   */
  hold(segment: SegmentFile, bytes: number): void {
    const { storage, segmentSizeBytes } = this.options;
    if (!segment.hasHeader) return;
    this.make(segment, 0);
    const from = Math.max(segment.heldPosition, segment.writtenPosition);
    const end = Math.min(segment.writtenPosition + bytes, segment.basePosition + segmentSizeBytes);
    if (from >= end) return;
    writeZeros(storage, segment.fd, from - segment.basePosition, end - segment.basePosition);
    segment.heldPosition = end;
  }

  close(): void {
    const { storage } = this.options;
    const files = [...this.submitted, ...this.complete];
    for (const file of [this.current, this.made]) if (file !== undefined && file.fd >= 0) files.push(file);
    for (const { fd } of files) storage.close(fd);
    this.submitted.length = 0;
    this.complete.length = 0;
    this.current = undefined;
    this.made = undefined;
    this.next.close();
  }

  /** Goes on to the segment, whose file is made if need be. Safe to call again after it threw. */
  private begin(segment: SegmentFile, committedPosition: number, nowMs: number): void {
    if (this.current !== segment) {
      if (this.current !== undefined) {
        this.complete.push(this.current);
        this.endOfComplete = this.current.writtenPosition;
      }
      this.current = segment;
    }
    segment.openedAtMs = nowMs;
    this.make(segment, committedPosition);
    this.made = undefined;
  }

  private writeRuns(runs: StagedRuns, segment: SegmentFile): void {
    const { storage } = this.options;
    const offset = segment.writtenPosition - segment.basePosition;
    const single = runs.single();
    let written: number;
    if (single !== undefined) {
      const { memory, start, end } = single;
      const length = Math.min(end - start, JOURNAL_LIMITS.writeBytesMax);
      written = storage.write(segment.fd, memory.bytes, start, length, offset);
    } else {
      const pieces = runs.pieces();
      const first = pieces[0] as Uint8Array;
      written =
        pieces.length === 1
          ? storage.write(segment.fd, first, 0, first.length, offset)
          : storage.writev(segment.fd, pieces, offset);
    }
    if (!(written > 0)) throw new Error(`write made no progress: written=${written} file=${segment.path}`);
    segment.writtenPosition += written;
    runs.consume(written);
  }

  private submitFile(syncer: Syncer, file: SegmentFile, position: number): void {
    syncer.submit(file.fd, position, file.nameIsNew);
    file.nameIsNew = false;
    this.submittedPosition = position;
  }
}
