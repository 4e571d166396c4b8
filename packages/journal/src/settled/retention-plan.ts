import { sidecarPartitionAt } from "../lookup/sidecar-layout.ts";
import { errorCodeOf, type Storage } from "../storage/storage.ts";
import type { SettledFile } from "./manifest-layout.ts";
import { PartitionBytes } from "./partition-bytes.ts";
import { NO_ROW, PartitionRows } from "./partition-rows.ts";
import {
  RETENTION_FIELDS,
  RETENTION_KEEP_BYTES,
  RETENTION_LOG_START,
  RETENTION_MS,
  type RetentionJob,
  type RetentionPlan,
} from "./settle-jobs.ts";
import { type FileIndex, readSettledIndex } from "./settled-index.ts";
import { settledFileName } from "./settled-layout.ts";

/** The topic of the catalog: its entries are never dropped to make room. */
const CATALOG_TOPIC_ID = 0;
/** In a plan's `files`: living bytes, and the time of the next look. */
const FILE_NUMBERS = 2;

/**
 * Reads the footers of settled files and says what may be dropped. What one partition has in one file, a section, lives or
 * goes as a whole, and goes only when all older ones of the partition do: what is kept of a partition has no holes. Changes
 * nothing. A file whose footer is damaged counts as living, and what it holds as nothing, so that it costs nobody else.
 *
 * @throws what the storage throws, ENOENT for a file that is gone
 */
export function runRetentionPlan(storage: Storage, job: RetentionJob): RetentionPlan {
  return new Planning(storage, job).run();
}

class Planning {
  private readonly storage: Storage;
  private readonly job: RetentionJob;
  private readonly rows: PartitionRows;
  /** Log start of each row, moved as far as is known. */
  private readonly starts: Float64Array;
  /** Bytes of each row in the files from the one that is looked at, for rows with a bound. */
  private readonly bytesAhead: Float64Array;
  /** 1: a section lives, so all later ones do. */
  private readonly isKept: Uint8Array;
  private readonly freed: PartitionBytes = new PartitionBytes();

  constructor(storage: Storage, job: RetentionJob) {
    this.storage = storage;
    this.job = job;
    this.rows = new PartitionRows(job.partitions, RETENTION_FIELDS);
    const { rows } = this;
    this.starts = new Float64Array(rows.count);
    for (let row = 0; row < rows.count; row++) this.starts[row] = rows.field(row, RETENTION_LOG_START);
    this.bytesAhead = new Float64Array(rows.count);
    this.isKept = new Uint8Array(rows.count);
  }

  run(): RetentionPlan {
    const { job } = this;
    this.addBoundedBytes();
    const files = new Float64Array(job.files.length * FILE_NUMBERS);
    job.files.forEach((file, i) => {
      const index = this.footer(file);
      if (index === undefined) {
        files[i * FILE_NUMBERS] = file.entryBytes;
        files[i * FILE_NUMBERS + 1] = Number.POSITIVE_INFINITY;
        return;
      }
      const { livingBytes, nextLookMs } = this.judge(index, i < job.dropThrough);
      files[i * FILE_NUMBERS] = livingBytes;
      files[i * FILE_NUMBERS + 1] = nextLookMs;
      if (livingBytes === 0) this.freed.addIndex(index);
    });
    return { kind: "retention-plan", moves: this.moves(), files, freed: this.freed.rows() };
  }

  /** Adds up what partitions with a bound have, which takes a look at the files beforehand. */
  private addBoundedBytes(): void {
    const bounded = new Set<number>();
    for (let row = 0; row < this.rows.count; row++) {
      if (Number.isFinite(this.rows.field(row, RETENTION_KEEP_BYTES))) bounded.add(this.rows.topicId(row));
    }
    if (bounded.size === 0) return;
    const topicIds = Float64Array.from(bounded).sort();
    for (const file of this.job.files) {
      const next = topicIds[firstNotBelow(topicIds, file.firstTopicId)];
      if (next === undefined || next > file.lastTopicId) continue;
      const index = this.footer(file);
      if (index === undefined) continue;
      for (let i = 0; i < index.header.partitionCount; i++) {
        const { topicId, partition, endOffset, bytes } = sidecarPartitionAt(index.table, i);
        const row = this.rows.find(topicId, partition);
        if (row === NO_ROW || endOffset <= (this.starts[row] as number)) continue;
        this.bytesAhead[row] = (this.bytesAhead[row] as number) + bytes;
      }
    }
  }

  /** Decides about the sections of the next file: all older ones have been decided about. */
  private judge(
    { header, table }: FileIndex,
    isDropped: boolean,
  ): { livingBytes: number; nextLookMs: number } {
    const { rows, starts, bytesAhead, isKept } = this;
    let livingBytes = 0;
    let nextLookMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < header.partitionCount; i++) {
      const { topicId, partition, endOffset, lastTime, bytes } = sidecarPartitionAt(table, i);
      const row = rows.find(topicId, partition);
      if (row === NO_ROW || endOffset <= (starts[row] as number)) continue;
      bytesAhead[row] = (bytesAhead[row] as number) - bytes;
      const retentionMs = rows.field(row, RETENTION_MS);
      const expiresMs = retentionMs > 0 ? lastTime + retentionMs : Number.POSITIVE_INFINITY;
      const isDue =
        expiresMs < this.job.nowMs ||
        (bytesAhead[row] as number) >= rows.field(row, RETENTION_KEEP_BYTES) ||
        (isDropped && topicId !== CATALOG_TOPIC_ID);
      if (isDue && isKept[row] === 0) {
        starts[row] = endOffset;
        continue;
      }
      isKept[row] = 1;
      livingBytes += bytes;
      nextLookMs = Math.min(nextLookMs, expiresMs + 1);
    }
    return { livingBytes, nextLookMs };
  }

  private moves(): Float64Array {
    const { rows, starts } = this;
    const moves: number[] = [];
    for (let row = 0; row < rows.count; row++) {
      const start = starts[row] as number;
      if (start > rows.field(row, RETENTION_LOG_START)) {
        moves.push(rows.topicId(row), rows.partition(row), start);
      }
    }
    return Float64Array.from(moves);
  }

  private footer(file: SettledFile): FileIndex | undefined {
    try {
      return readSettledIndex(this.storage, `${this.job.directory}/${settledFileName(file)}`, file);
    } catch (error) {
      if (errorCodeOf(error) === "JOURNAL_DAMAGED") return undefined;
      throw error;
    }
  }
}

/** Index of the first value that is not below; the length when there is none. */
function firstNotBelow(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
