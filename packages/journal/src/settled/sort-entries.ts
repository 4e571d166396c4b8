import {
  alignEntry,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { IndexPoints } from "../lookup/index-points.ts";
import { encodeFileIndex, type PartitionPoints } from "../lookup/sidecar-layout.ts";
import { TopicTally } from "../lookup/topic-tally.ts";
import type { Storage } from "../storage/storage.ts";
import type { EntryList } from "./entry-list.ts";
import type { MadeFiles, NewSettledFile } from "./made-files.ts";
import type { SettledFile } from "./manifest-layout.ts";
import type { PacedWriter } from "./pacing.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { SETTLE_RETENTION_MS, type SettleJob } from "./settle-jobs.ts";
import {
  encodeSettledHeader,
  encodeSettledTrailer,
  SETTLED_HEADER_BYTES,
  SETTLED_TRAILER_BYTES,
  settledSeed,
} from "./settled-layout.ts";
import { SortBuffer } from "./sort-buffer.ts";

/** Index points have 32 bits for a place in the file. */
const FOOTER_AT_MAX = 0xffff_ffff;

/** What a sort works with. */
export interface SortContext {
  readonly storage: Storage;
  readonly job: SettleJob;
  readonly rows: PartitionRows;
  readonly writer: PacedWriter;
  readonly made: MadeFiles;
  /** The stretch of the journal that the files are of. */
  readonly basePosition: number;
  readonly endPosition: number;
}

/** The partitions of one file, by their rows. */
interface PlannedFile {
  readonly rows: number[];
  bytes: number;
}

/**
 * Writes the listed entries into new files, by topicId, partition and offset. Their data is durable, their names are not.
 *
 * Memory: `sortBufferBytes` and one entry of output, one read, and the index of the file, whose points are a small part of
 * what they cover. The list is gone through once for each buffer of output.
 */
export function sortEntries(context: SortContext, list: EntryList): SettledFile[] {
  const planned = planFiles(context.rows, list.rowBytes);
  if (planned.length === 0) return [];
  const largest = Math.max(...planned.map(({ bytes }) => bytes));
  const outputBytes = Math.min(largest, JOURNAL_LIMITS.sortBufferBytes + list.entryBytesMax);
  const buffer = new SortBuffer(context.storage, outputBytes);
  return planned.map((file) => new SortedFile(context, list, buffer, file).write());
}

/**
 * Which partitions go into which file: one retention class each, and a topic with much in the stretch alone, since a file
 * gives its space back when most of it is dead. What counts as much grows with the stretch, so that the number of files stays
 * within bounds.
 */
function planFiles(rows: PartitionRows, rowBytes: Float64Array): PlannedFile[] {
  const tally = new TopicTally();
  for (let row = 0; row < rows.count; row++) {
    const bytes = rowBytes[row] as number;
    if (bytes > 0) tally.add(rows.topicId(row), bytes);
  }
  const files = new Map<string, PlannedFile>();
  for (let row = 0; row < rows.count; row++) {
    const bytes = rowBytes[row] as number;
    if (bytes === 0) continue;
    const topicId = rows.topicId(row);
    const key = `${rows.field(row, SETTLE_RETENTION_MS)}:${tally.isLarge(topicId) ? topicId : ""}`;
    const file = files.get(key) ?? { rows: [], bytes: 0 };
    file.rows.push(row);
    file.bytes += bytes;
    files.set(key, file);
  }
  return [...files.values()];
}

/** One file while it is made. */
class SortedFile {
  private readonly context: SortContext;
  private readonly list: EntryList;
  private readonly buffer: SortBuffer;
  private readonly planned: PlannedFile;
  /** Where the entries of each row begin in the file; Infinity for rows of other files. */
  private readonly starts: Float64Array;
  /** Where the next entry of each row goes. */
  private readonly next: Float64Array;
  private readonly partitions: PartitionPoints[];
  /** The partition whose entries are indexed, and where they end in the file. */
  private current = -1;
  private currentEnd = SETTLED_HEADER_BYTES;

  constructor(context: SortContext, list: EntryList, buffer: SortBuffer, planned: PlannedFile) {
    this.context = context;
    this.list = list;
    this.buffer = buffer;
    this.planned = planned;
    const { rows } = context;
    this.starts = new Float64Array(rows.count).fill(Number.POSITIVE_INFINITY);
    this.next = new Float64Array(rows.count);
    let at = SETTLED_HEADER_BYTES;
    for (const row of planned.rows) {
      this.starts[row] = at;
      at += list.rowBytes[row] as number;
    }
    this.partitions = planned.rows.map((row) => ({
      topicId: rows.topicId(row),
      partition: rows.partition(row),
      points: new IndexPoints(),
    }));
  }

  write(): SettledFile {
    const { storage, made, basePosition } = this.context;
    const file = made.next(basePosition);
    const fd = storage.open(file.path, "create");
    try {
      return this.writeTo(fd, file);
    } finally {
      storage.close(fd);
    }
  }

  private writeTo(fd: number, { name, path }: NewSettledFile): SettledFile {
    const { job, writer, basePosition, endPosition } = this.context;
    const { shardId, epoch } = job;
    const seed = settledSeed(job.journalId, name);
    const header = encodeSettledHeader({ ...name, seed, shardId, endPosition });
    writer.write(fd, header, header.length, 0);
    const footerAt = SETTLED_HEADER_BYTES + this.planned.bytes;
    if (footerAt > FOOTER_AT_MAX)
      throw new RangeError(`a settled file would be too large: bytes=${footerAt}`);
    for (let at = SETTLED_HEADER_BYTES; at < footerAt; ) {
      const bytes = this.collect(at, Math.min(footerAt, at + JOURNAL_LIMITS.sortBufferBytes), seed);
      this.index(at, bytes, path);
      writer.write(fd, this.buffer.bytes, bytes, at);
      at += bytes;
    }
    const footer = encodeFileIndex({ shardId, epoch, basePosition, endPosition }, this.partitions);
    writer.write(fd, footer, footer.length, footerAt);
    const trailer = encodeSettledTrailer({ footerAt, footerLength: footer.length });
    writer.write(fd, trailer, trailer.length, footerAt + footer.length);
    writer.sync(fd);
    const points = this.partitions.map((partition) => partition.points);
    const first = this.partitions[0] as PartitionPoints;
    return {
      ...name,
      endPosition,
      sizeBytes: footerAt + footer.length + SETTLED_TRAILER_BYTES,
      footerAt,
      entryBytes: this.planned.bytes,
      firstTime: points.reduce(
        (least, { firstTime }) => Math.min(least, firstTime),
        Number.POSITIVE_INFINITY,
      ),
      lastTime: points.reduce((greatest, { lastTime }) => Math.max(greatest, lastTime), 0),
      expiryTime: points.reduce((least, { lastTime }) => Math.min(least, lastTime), Number.POSITIVE_INFINITY),
      firstTopicId: first.topicId,
      lastTopicId: (this.partitions.at(-1) as PartitionPoints).topicId,
      partitionCount: points.length,
      adopted: false,
      records: points.reduce((sum, { firstOffset, endOffset }) => sum + (endOffset - firstOffset), 0),
    };
  }

  /** Brings the entries that begin in a stretch of the file into the buffer. @returns their bytes */
  private collect(from: number, to: number, seed: number): number {
    const { buffer, next } = this;
    const { sources } = this.list;
    next.set(this.starts);
    buffer.begin(seed);
    this.list.forEach((row, source, offset, size) => {
      const at = next[row] as number;
      next[row] = at + size;
      if (at >= from && at < to)
        buffer.add(sources[source] as EntryList["sources"][number], offset, size, at - from);
    });
    return buffer.finish();
  }

  /** Adds the entries in the buffer, which begin at `from` in the file, to the file's index. */
  private index(from: number, bytes: number, path: string): void {
    const { words } = this.buffer;
    for (let at = 0; at < bytes; ) {
      const word = at >> 2;
      const size = alignEntry(words[word + ENTRY_LENGTH_WORD] as number);
      const position = from + at;
      if (position === this.currentEnd) this.nextPartition();
      const { topicId, partition, points } = this.partitions[this.current] as PartitionPoints;
      const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
      if (
        readU32(words, word + ENTRY_TOPIC_ID_WORD) !== topicId ||
        readU32(words, word + ENTRY_PARTITION_WORD) !== partition ||
        baseOffset < points.endOffset ||
        position + size > this.currentEnd
      ) {
        throw new Error(`sorted entry is out of place: ${path} position ${position}`);
      }
      points.add(
        baseOffset,
        readU32(words, word + ENTRY_COUNT_WORD),
        readU64(words, word + ENTRY_APPEND_TIME_WORD),
        position,
        size,
      );
      at += size;
    }
  }

  private nextPartition(): void {
    this.current++;
    this.currentEnd += this.list.rowBytes[this.planned.rows[this.current] as number] as number;
  }
}
