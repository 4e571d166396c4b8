import type { Background } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { type Storage, writeFully } from "../storage/storage.ts";
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

/** The file that is zeroed ahead, if any. */
type Prepared =
  | { readonly state: "none" }
  | { readonly state: "running" }
  | { readonly state: "ready"; readonly path: string };

const NONE: Prepared = { state: "none" };
/** Only a segment that is this far filled is likely to be followed by another one. */
const PREPARE_FILLED_PART = 1 / 8;

/** Writes staged runs to the files of their segments, and hands files to the syncer. Shard thread only. */
export class SegmentAppender {
  private readonly options: SegmentAppenderOptions;
  private current: SegmentFile | undefined;
  /** Complete files that wait to be submitted to the syncer, and those that wait for their commit to be closed. */
  private readonly complete: SegmentFile[] = [];
  private readonly submitted: SegmentFile[] = [];
  private submittedPosition: number;
  private endOfComplete = 0;
  private prepared: Prepared = NONE;
  private preparedCount = 0;
  private prepareAtMs = 0;
  private closed = false;

  constructor(options: SegmentAppenderOptions, position: number) {
    this.options = options;
    this.submittedPosition = position;
  }

  /**
   * Writes all runs. What was written before a throw is taken off the runs, and the rest may be tried again.
   * @param committedPosition goes into the header of a new segment.
   */
  write(runs: StagedRuns, committedPosition: number, nowMs: number): void {
    for (let segment = runs.firstSegment(); segment !== undefined; segment = runs.firstSegment()) {
      if (segment.fd < 0 || !segment.hasHeader) this.begin(segment, committedPosition, nowMs);
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
    const { current } = this;
    if (this.prepared.state !== "none" || current === undefined || nowMs < this.prepareAtMs) return;
    if (nowMs - current.openedAtMs < JOURNAL_LIMITS.prepareAfterMs) return;
    const { segmentSizeBytes, directory, epoch, background } = this.options;
    if (current.writtenPosition - current.basePosition < segmentSizeBytes * PREPARE_FILLED_PART) return;
    const path = `${directory}/prepared-${epoch}-${this.preparedCount}.tmp`;
    this.preparedCount++;
    this.prepared = { state: "running" };
    background.submit({ kind: "prepare-segment", path, sizeBytes: segmentSizeBytes }, (error) => {
      this.prepared = error === undefined ? { state: "ready", path } : NONE;
      this.prepareAtMs = nowMs + JOURNAL_LIMITS.retryAfterMsMax;
      if (this.closed) this.removePrepared();
    });
  }

  close(): void {
    const { storage } = this.options;
    this.closed = true;
    for (const file of [...this.submitted, ...this.complete]) storage.close(file.fd);
    this.submitted.length = 0;
    this.complete.length = 0;
    if (this.current !== undefined && this.current.fd >= 0) storage.close(this.current.fd);
    this.current = undefined;
    this.removePrepared();
  }

  /** Opens the segment's file, and makes it with its header if need be. Safe to call again after it threw. */
  private begin(segment: SegmentFile, committedPosition: number, nowMs: number): void {
    const { storage, shardId } = this.options;
    if (this.current !== segment) {
      if (this.current !== undefined) {
        this.complete.push(this.current);
        this.endOfComplete = this.current.writtenPosition;
      }
      this.current = segment;
    }
    segment.openedAtMs = nowMs;
    if (segment.hasHeader) {
      segment.fd = this.options.storage.open(segment.path, "readWrite");
      return;
    }
    if (segment.fd < 0) segment.fd = this.openFile(segment.path);
    const header = encodeSegmentHeader({
      seed: segment.seed,
      shardId,
      epoch: segment.epoch,
      basePosition: segment.basePosition,
      syncedPosition: committedPosition,
    });
    writeFully(storage, segment.fd, header, 0, header.length, 0);
    segment.hasHeader = true;
    segment.writtenPosition = segment.basePosition + header.length;
  }

  private openFile(path: string): number {
    const { storage } = this.options;
    const { prepared } = this;
    if (prepared.state !== "ready") return storage.open(path, "create");
    this.prepared = NONE;
    storage.rename(prepared.path, path);
    return storage.open(path, "readWrite");
  }

  private writeRuns(runs: StagedRuns, segment: SegmentFile): void {
    const { storage } = this.options;
    const offset = segment.writtenPosition - segment.basePosition;
    const single = runs.single();
    let written: number;
    if (single !== undefined) {
      const { memory, start, end } = single;
      written = storage.write(segment.fd, memory.bytes, start, end - start, offset);
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

  private removePrepared(): void {
    if (this.prepared.state !== "ready") return;
    try {
      this.options.storage.unlink(this.prepared.path);
    } catch {
      // The next owner removes temporary files.
    }
    this.prepared = NONE;
  }
}
