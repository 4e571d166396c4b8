import {
  alignEntry,
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
} from "../entry/entry-layout.ts";
import { IndexPoints } from "../lookup/index-points.ts";
import { encodeFileIndex, type IndexedFile, type PartitionPoints } from "../lookup/sidecar-layout.ts";
import { totalKey } from "./partition-totals.ts";

/** Makes the index of a file from its entries. */
export class IndexBuilder {
  private readonly partitions: Map<number, PartitionPoints> = new Map();

  /** Takes the file's next entry, whose header stands at `word`. @param at from the file's start. */
  add(words: Int32Array, word: number, at: number): void {
    if (words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH) return;
    const topicId = readU32(words, word + ENTRY_TOPIC_ID_WORD);
    const partition = readU32(words, word + ENTRY_PARTITION_WORD);
    const key = totalKey(topicId, partition);
    let found = this.partitions.get(key);
    if (found === undefined) {
      found = { topicId, partition, points: new IndexPoints() };
      this.partitions.set(key, found);
    }
    found.points.add(
      readU64(words, word + ENTRY_BASE_OFFSET_WORD),
      readU32(words, word + ENTRY_COUNT_WORD),
      readU64(words, word + ENTRY_APPEND_TIME_WORD),
      at,
      alignEntry(words[word + ENTRY_LENGTH_WORD] as number),
    );
  }

  /** The whole index. */
  encode(file: IndexedFile): Uint8Array {
    const sorted = [...this.partitions.values()].sort(
      (a, b) => a.topicId - b.topicId || a.partition - b.partition,
    );
    return encodeFileIndex(file, sorted);
  }
}
