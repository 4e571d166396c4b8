import { JOURNAL_LIMITS } from "../limits.ts";
import type { SettledName } from "../settled/settled-layout.ts";
import { errorCodeOf } from "../storage/storage.ts";
import type { AheadStretches } from "./ahead-stretches.ts";
import { GAP_BYTES_MAX } from "./entry-walk.ts";
import { type FileIndexCache, NOT_IN_FILE, type PartitionPoints } from "./file-index-cache.ts";
import { firstPoint, stretchesFrom } from "./file-stretches.ts";
import type { OpenFileCache } from "./open-file-cache.ts";
import type { SettledFileTable } from "./settled-catalog.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** How far a stream's bytes were asked for: up to an offset in a settled file. */
export interface Ahead {
  readonly file: SettledName;
  readonly to: number;
}

/** Where a stream stands. */
export interface AheadFrom {
  readonly table: SettledFileTable;
  /** Index of its file in the table. */
  readonly at: number;
  /** Of its partition in that file. */
  readonly points: PartitionPoints;
  /** File offset. */
  readonly from: number;
  readonly topicId: number;
  readonly partition: number;
}

const NO_FILE = -1;
/** Files that one look goes on into, and those it passes by because their topics are others. */
const FILES_MAX = 8;
const PASSED_FILES_MAX = 256;
/** Indexes that it reads, which takes time: for the reads themselves they are needed anyway. */
const LOADS_MAX = 2;

/**
 * Has what a stream will read next read while what it reads now is checked and copied, also where that is in the next file:
 * the kernel reads ahead inside one file only, and not before its second read. A look asks and does nothing else, so it may
 * ask in vain, and leaves errors to the read that meets them. One thread.
 */
export class LookAhead {
  private readonly files: OpenFileCache;
  private readonly indexes: FileIndexCache;
  private readonly disk: SharedDisk;
  private readonly ahead: AheadStretches;
  /** Bytes to pass by, and to ask for behind them. */
  private skip = 0;
  private wanted = 0;
  private asked: Ahead | undefined;
  private askedAt = NO_FILE;

  constructor(files: OpenFileCache, indexes: FileIndexCache, disk: SharedDisk, ahead: AheadStretches) {
    this.files = files;
    this.indexes = indexes;
    this.disk = disk;
    this.ahead = ahead;
  }

  /**
   * The stream is about to read `readBytes`, and may want as many next.
   * @param before what was asked for up to now. @returns the same afterwards
   */
  look(stream: AheadFrom, readBytes: number, before: Ahead | undefined): Ahead | undefined {
    // Then the disk is for others.
    if (this.disk.isBusy()) return undefined;
    this.askedAt = before === undefined ? NO_FILE : stream.table.find(before.file);
    this.asked = before;
    // What this read takes is not worth asking for, unless it takes less than the one before seemed to.
    const isAhead =
      this.askedAt > stream.at || (this.askedAt === stream.at && (before as Ahead).to > stream.from);
    this.skip = isAhead ? 0 : readBytes;
    this.wanted = Math.min(readBytes, JOURNAL_LIMITS.coldAheadBytesMax) + (isAhead ? readBytes : 0);
    try {
      this.walk(stream);
    } catch (error) {
      if (errorCodeOf(error) === undefined) throw error;
    }
    return this.asked;
  }

  private walk(stream: AheadFrom): void {
    const { table, topicId, partition } = stream;
    const loadsMax = this.indexes.loads + LOADS_MAX;
    let { at, from } = stream;
    let points: PartitionPoints | undefined = stream.points;
    for (let left = FILES_MAX; left > 0 && points !== undefined; left--) {
      if (!this.askFor(table, at, points, from)) return;
      at = this.next(stream, at + 1, loadsMax);
      if (at === NO_FILE) return;
      points = this.indexes.points(table.source(at), topicId, partition);
      from = 0;
    }
  }

  /** @returns whether more is wanted behind the file */
  private askFor(table: SettledFileTable, at: number, points: PartitionPoints, from: number): boolean {
    const first = firstPoint(points, { by: "place", value: from });
    const stretches = stretchesFrom(points, first, this.skip + this.wanted, from);
    const before = at === this.askedAt ? (this.asked as Ahead).to : 0;
    const isAsked = at < this.askedAt;
    let start = 0;
    let end = 0;
    for (let i = 0; i < stretches.length && this.wanted > 0; i += 2) {
      const length = stretches[i + 1] as number;
      this.skip -= length;
      // Stretches are passed by and asked for as a whole, as they begin and end with entries.
      if (this.skip >= 0) continue;
      this.skip = 0;
      this.wanted -= length;
      const position = Math.max(stretches[i] as number, before);
      const to = (stretches[i] as number) + length;
      if (isAsked || position >= to) continue;
      if (end === 0 || position - end > GAP_BYTES_MAX) {
        if (!this.ask(table, at, start, end)) return false;
        start = position;
      }
      end = to;
    }
    return this.ask(table, at, start, end) && this.wanted > 0;
  }

  /** @returns false when there was no room for all of it */
  private ask(table: SettledFileTable, at: number, start: number, end: number): boolean {
    if (start === end) return true;
    const to = this.ahead.ask(this.files.open(table.source(at).path).access, start, end);
    if (to > start) {
      this.asked = { file: table.name(at), to };
      this.askedAt = at;
    }
    return to === end;
  }

  /** The next file with the partition, if that is known or soon found out. */
  private next({ table, topicId, partition }: AheadFrom, from: number, loadsMax: number): number {
    const end = Math.min(table.count, from + PASSED_FILES_MAX);
    for (let at = from; at < end; at++) {
      if (!table.mayHold(at, topicId)) continue;
      const source = table.source(at);
      if (this.indexes.loads >= loadsMax && !this.indexes.has(source.path)) return NO_FILE;
      const bounds = this.indexes.bounds(source, topicId, partition);
      if (bounds === undefined) return NO_FILE;
      if (bounds !== NOT_IN_FILE) return at;
    }
    return NO_FILE;
  }
}
