import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";

/** Numbers of a row of totals, sorted by topicId and partition. */
export const TOTAL_FIELDS = 5;
export const TOTAL_TOPIC_ID = 0;
export const TOTAL_PARTITION = 1;
export const TOTAL_FIRST_OFFSET = 2;
export const TOTAL_END_OFFSET = 3;
export const TOTAL_BYTES = 4;

interface Total {
  readonly topicId: number;
  readonly partition: number;
  readonly firstOffset: number;
  endOffset: number;
  lastTime: number;
  bytes: number;
}

/** What a file of entries holds of each partition, as its entries say. */
export class PartitionTotals {
  records = 0;
  entryBytes = 0;
  /** Least and greatest append time; Infinity and 0 without entries. */
  firstTime: number = Number.POSITIVE_INFINITY;
  lastTime = 0;
  private readonly totals: Map<number, Total> = new Map();

  /**
   * Adds the batch whose header stands at `word`. @param size with the alignment behind it.
   * @returns the offset that the partition had reached when the batch begins below it, else -1.
   */
  add(words: Int32Array, word: number, size: number): number {
    const topicId = readU32(words, word + ENTRY_TOPIC_ID_WORD);
    const partition = readU32(words, word + ENTRY_PARTITION_WORD);
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    const count = readU32(words, word + ENTRY_COUNT_WORD);
    const time = readU64(words, word + ENTRY_APPEND_TIME_WORD);
    this.records += count;
    this.entryBytes += size;
    if (time < this.firstTime) this.firstTime = time;
    if (time > this.lastTime) this.lastTime = time;
    const key = totalKey(topicId, partition);
    const total = this.totals.get(key);
    if (total === undefined) {
      const endOffset = baseOffset + count;
      this.totals.set(key, {
        topicId,
        partition,
        firstOffset: baseOffset,
        endOffset,
        lastTime: time,
        bytes: size,
      });
      return -1;
    }
    const reached = total.endOffset;
    total.bytes += size;
    total.lastTime = Math.max(total.lastTime, time);
    if (baseOffset < reached) return reached;
    total.endOffset = baseOffset + count;
    return -1;
  }

  get partitionCount(): number {
    return this.totals.size;
  }

  /** The least of the partitions' last append times; 0 without entries. */
  expiryTime(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { lastTime } of this.totals.values()) least = Math.min(least, lastTime);
    return least === Number.POSITIVE_INFINITY ? 0 : least;
  }

  /** TOTAL_FIELDS numbers a partition, sorted. */
  rows(): Float64Array {
    const sorted = [...this.totals.values()].sort(
      (a, b) => a.topicId - b.topicId || a.partition - b.partition,
    );
    const rows = new Float64Array(sorted.length * TOTAL_FIELDS);
    sorted.forEach(({ topicId, partition, firstOffset, endOffset, bytes }, i) => {
      rows.set([topicId, partition, firstOffset, endOffset, bytes], i * TOTAL_FIELDS);
    });
    return rows;
  }
}

/** One number for a partition: partitions are far below 2^20. */
export function totalKey(topicId: number, partition: number): number {
  return topicId * 1_048_576 + partition;
}
