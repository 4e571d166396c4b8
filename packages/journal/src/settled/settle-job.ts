import { JOURNAL_LIMITS } from "../limits.ts";
import { requireFence } from "../ownership/fence.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import { errorCodeOf, type Storage } from "../storage/storage.ts";
import { adoptSegment } from "./adopt-segment.ts";
import { EntryList, LIST_FULL } from "./entry-list.ts";
import { type EntrySource, openEntrySource } from "./entry-source.ts";
import { MadeFiles } from "./made-files.ts";
import type { SettledFile } from "./manifest-layout.ts";
import { PacedWriter, type Pause, sleep } from "./pacing.ts";
import { PartitionBytes } from "./partition-bytes.ts";
import { PartitionRows } from "./partition-rows.ts";
import { isFitToAdopt } from "./segment-fitness.ts";
import { indexSegment, readSidecar, type SegmentSource } from "./segment-index.ts";
import { SETTLE_FIELDS, type SettleJob, type SettleResult, type SettleSource } from "./settle-jobs.ts";
import { fileIndexOf, readSettledIndex } from "./settled-index.ts";
import { sortEntries } from "./sort-entries.ts";

/**
 * Makes settled files of the first sources of a job: of those in front that are fit to be read alone each becomes one, or
 * those in front that are not are sorted together. Everything is durable when it returns; when it throws, what it made is
 * removed. A stretch that is sorted ends before a source that is damaged or would make the list of entries too long, unless
 * it is the first, so an error is always about the first source.
 *
 * @param pause waits on the calling thread; ms.
 * @throws what the storage throws; MillraceError JOURNAL_DAMAGED with file and position (in the journal, or for a settled
 * file from its start), JOURNAL_FAILED when fenced
 */
export function runSettleJob(storage: Storage, job: SettleJob, pause: Pause = sleep): SettleResult {
  const made = new MadeFiles(storage, job);
  const writer = new PacedWriter(storage, job.bytesPerSecond, pause);
  try {
    const result = new Settling(storage, job, writer, made).run();
    if (result.files.length > 0) storage.syncDirectory(job.directory);
    requireFence(storage, job.directory, job.epoch);
    return result;
  } catch (error) {
    made.removeAll();
    throw error;
  }
}

class Settling {
  private readonly storage: Storage;
  private readonly job: SettleJob;
  private readonly writer: PacedWriter;
  private readonly made: MadeFiles;
  private readonly rows: PartitionRows;
  private readonly added: PartitionBytes = new PartitionBytes();
  private readonly removed: PartitionBytes = new PartitionBytes();

  constructor(storage: Storage, job: SettleJob, writer: PacedWriter, made: MadeFiles) {
    this.storage = storage;
    this.job = job;
    this.writer = writer;
    this.made = made;
    this.rows = new PartitionRows(job.partitions, SETTLE_FIELDS);
  }

  run(): SettleResult {
    const { sources } = this.job;
    const first = sources[0];
    if (first === undefined) throw new RangeError("a settle job has no sources");
    const isFit = this.isFit(first);
    let count = 1;
    while (count < sources.length && this.isFit(sources[count] as SettleSource) === isFit) count++;
    const run = sources.slice(0, count);
    return isFit ? this.adopt(run as SegmentSource[]) : this.sort(run);
  }

  /** Damage makes a segment unfit, and the sort says where it is. */
  private isFit(source: SettleSource): boolean {
    const { storage, job } = this;
    if (source.kind === "settled" || source.copy) return false;
    if (job.method === "adopt") return true;
    if (source.endPosition - source.basePosition < job.adoptBytesMin) return false;
    try {
      const index = readSidecar(storage, job, source) ?? fileIndexOf(indexSegment(storage, job, source));
      return isFitToAdopt(index, this.rows, job.adoptBytesMin);
    } catch (error) {
      if (errorCodeOf(error) === "JOURNAL_DAMAGED") return false;
      throw error;
    }
  }

  private adopt(segments: readonly SegmentSource[]): SettleResult {
    const files: SettledFile[] = [];
    for (const segment of segments) {
      const { file, index } = adoptSegment(this.storage, this.job, segment, this.writer, this.made);
      this.added.addIndex(index);
      files.push(file);
    }
    return this.result(segments, files);
  }

  private sort(sources: readonly SettleSource[]): SettleResult {
    const { storage, job, rows, writer, made } = this;
    const opened: EntrySource[] = [];
    try {
      const window = new SegmentWindow(storage, JOURNAL_LIMITS.sortReadBytes);
      const list = new EntryList(window, rows);
      let bytes = 0;
      for (const source of sources) {
        const isNeeded = opened.length === 0 || source.kind === "settled";
        const open = openEntrySource(storage, job, source);
        opened.push(open);
        bytes += open.endAt;
        if (!isNeeded && bytes > JOURNAL_LIMITS.settleBytesMax) break;
        if (!addToList(list, open, isNeeded)) break;
        if (source.kind === "settled") {
          this.removed.addIndex(readSettledIndex(storage, open.path, source.file));
        }
      }
      const taken = sources.slice(0, list.sources.length);
      const { basePosition } = stretchOf(taken[0] as SettleSource);
      const { endPosition } = stretchOf(taken.at(-1) as SettleSource);
      const files = sortEntries({ storage, job, rows, writer, made, basePosition, endPosition }, list);
      for (let row = 0; row < rows.count; row++) {
        const kept = list.rowBytes[row] as number;
        if (kept > 0) this.added.add(rows.topicId(row), rows.partition(row), kept);
      }
      return this.result(taken, files);
    } finally {
      for (const { fd } of opened) storage.close(fd);
    }
  }

  private result(taken: readonly SettleSource[], files: readonly SettledFile[]): SettleResult {
    const { endPosition } = stretchOf(taken.at(-1) as SettleSource);
    return { kind: "settled", endPosition, files, added: this.added.rows(), removed: this.removed.rows() };
  }
}

/** @returns false when the source is left for another job */
function addToList(list: EntryList, source: EntrySource, isNeeded: boolean): boolean {
  try {
    return list.add(source, isNeeded) !== LIST_FULL;
  } catch (error) {
    if (!isNeeded && errorCodeOf(error) === "JOURNAL_DAMAGED") return false;
    throw error;
  }
}

/** The stretch of the journal that a source is of. */
function stretchOf(source: SettleSource): { readonly basePosition: number; readonly endPosition: number } {
  return source.kind === "segment" ? source : source.file;
}
