import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { IndexPoints } from "../lookup/index-points.ts";
import { SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import type { Storage } from "../storage/storage.ts";
import type { PartitionPoints } from "./file-index-cache.ts";
import type { ReadableFile } from "./open-file-cache.ts";

/**
 * Makes a partition's points from the entries of a file whose index is not usable. Slow, and rare. Settled files and
 * segments have headers of one size.
 *
 * @param end file offset behind the last entry. @throws what the storage throws
 */
export function scanPoints(
  storage: Storage,
  file: ReadableFile,
  end: number,
  topicId: number,
  partition: number,
): PartitionPoints {
  const points = new IndexPoints();
  const window = new SegmentWindow(storage, JOURNAL_LIMITS.coldReadBytes);
  window.attach(file.fd);
  let complete = file.seed !== undefined;
  let at = file.seed === undefined ? 0 : SEGMENT_HEADER_BYTES;
  while (file.seed !== undefined && at < end) {
    const index = window.load(at, ENTRY_HEADER_BYTES, end);
    const words = window.words;
    const word = index >> 2;
    // A bad entry ends the scan here and is reported when somebody reads as far.
    if (index < 0 || !ENTRY_CHECK.header(words, word, file.seed)) {
      addRest(points, at, end);
      complete = false;
      break;
    }
    const size = alignEntry(words[word + ENTRY_LENGTH_WORD] as number);
    if (
      words[word + ENTRY_TYPE_WORD] === ENTRY_TYPE_BATCH &&
      readU32(words, word + ENTRY_TOPIC_ID_WORD) === topicId &&
      readU32(words, word + ENTRY_PARTITION_WORD) === partition
    ) {
      points.add(
        readU64(words, word + ENTRY_BASE_OFFSET_WORD),
        readU32(words, word + ENTRY_COUNT_WORD),
        readU64(words, word + ENTRY_APPEND_TIME_WORD),
        at,
        size,
      );
    }
    at += size;
  }
  const { firstOffset, endOffset, firstTime, lastTime, count } = points;
  const scanned = { firstOffset, endOffset, firstTime, lastTime, count, words: points.used() };
  return complete ? { ...scanned, complete } : { ...scanned, complete, damagedAt: at };
}

/** Covers what stands behind a bad entry, so that a read that gets there meets it instead of passing it by. */
function addRest(points: IndexPoints, at: number, end: number): void {
  points.add(points.endOffset, 1, points.lastTime, at, end - at);
}
