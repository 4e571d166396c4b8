import { JOURNAL_LIMITS } from "../limits.ts";
import type { Storage } from "../storage/storage.ts";
import { type FileIndexCache, NOT_IN_FILE, type PartitionBounds } from "./file-index-cache.ts";
import type { OpenFileCache } from "./open-file-cache.ts";
import { scanPoints } from "./point-scan.ts";
import type { SettledFileTable } from "./settled-catalog.ts";

/** `run`: no file reaches the value. */
export const NO_FILE = -1;
/** `run`: many indexes were read; call it again, after others had their turn. */
export const SEARCH_UNFINISHED = -2;

/**
 * The search for the first settled file of a partition that reaches an offset, or a time: the first whose entries of
 * the partition do not all end before it. Binary, over the files in the order of their positions, of which those without
 * the partition say nothing: then the neighbour is asked.
 */
export class SettledSearch {
  readonly table: SettledFileTable;
  readonly topicId: number;
  readonly partition: number;
  /** Of the file found. */
  found: PartitionBounds | undefined;
  /** Of the last file before it that has entries of the partition, as far as the search came by it. */
  before: PartitionBounds | undefined;
  private readonly value: number;
  private readonly byTime: boolean;
  private low: number;
  private high: number;
  private at: number;
  private best: number = NO_FILE;
  private readonly stepwise: boolean;

  /** @param from index of the first file that may be it, if the value is known to be near: files from there are asked in turn. */
  constructor(
    table: SettledFileTable,
    topicId: number,
    partition: number,
    value: number,
    byTime: boolean,
    from?: number,
  ) {
    this.table = table;
    this.topicId = topicId;
    this.partition = partition;
    this.value = value;
    this.byTime = byTime;
    this.low = from ?? 0;
    this.stepwise = from !== undefined;
    this.high = table.count;
    this.at = this.middle();
  }

  /**
   * @returns the file's index in the table, NO_FILE, or SEARCH_UNFINISHED.
   * @throws what the storage throws
   */
  run(storage: Storage, files: OpenFileCache, indexes: FileIndexCache): number {
    const loadsMax = indexes.loads + JOURNAL_LIMITS.coldReaderLoadsPerTurn;
    while (this.low < this.high) {
      if (this.at === this.high) {
        // None in the upper half.
        this.high = this.middle();
        this.at = this.low < this.high ? this.middle() : this.high;
        continue;
      }
      if (!this.mayHold(this.at)) {
        this.at++;
        continue;
      }
      if (indexes.loads >= loadsMax && !indexes.has(this.table.source(this.at).path))
        return SEARCH_UNFINISHED;
      const bounds = boundsOf(storage, files, indexes, this.table, this.at, this.topicId, this.partition);
      if (bounds === NOT_IN_FILE) {
        this.at++;
        continue;
      }
      if (this.endsBefore(bounds)) {
        this.before = bounds;
        this.low = this.at + 1;
      } else {
        this.best = this.at;
        this.found = bounds;
        this.high = this.middle();
      }
      this.at = this.middle();
    }
    return this.best;
  }

  /** Index of the file that `before` is of. */
  get beforeAt(): number {
    return this.low - 1;
  }

  private middle(): number {
    return this.stepwise ? this.low : (this.low + this.high) >>> 1;
  }

  private endsBefore(bounds: PartitionBounds): boolean {
    return this.byTime ? bounds.lastTime < this.value : bounds.endOffset <= this.value;
  }

  /** What the table alone says. A file whose greatest time is too early cannot be it, whatever it holds. */
  private mayHold(at: number): boolean {
    if (!this.table.mayHold(at, this.topicId)) return false;
    return !this.byTime || (this.table.lastTime[at] as number) >= this.value;
  }
}

/** What a partition has in a settled file: from its footer, or from its entries when the footer is not usable. */
export function boundsOf(
  storage: Storage,
  files: OpenFileCache,
  indexes: FileIndexCache,
  table: SettledFileTable,
  at: number,
  topicId: number,
  partition: number,
): PartitionBounds | typeof NOT_IN_FILE {
  const source = table.source(at);
  const bounds = indexes.bounds(source, topicId, partition);
  if (bounds !== undefined) return bounds;
  const points = scanPoints(storage, files.open(source.path), source.indexAt, topicId, partition);
  indexes.put(source, topicId, partition, points);
  return points.count === 0 && points.complete ? NOT_IN_FILE : points;
}
