import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { IndexPoints } from "../lookup/index-points.ts";
import { encodeFileIndex, type PartitionPoints } from "../lookup/sidecar-layout.ts";
import { sidecarFileName } from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import { readFile, type Storage } from "../storage/storage.ts";
import { type EntrySource, openEntrySource } from "./entry-source.ts";
import { walkEntries } from "./entry-walk.ts";
import type { SettleJob, SettleSource } from "./settle-jobs.ts";
import { type FileIndex, readFileIndex, wholeIndexLength } from "./settled-index.ts";

export type SegmentSource = Extract<SettleSource, { kind: "segment" }>;

/** The sidecar of an ended segment without its points, or undefined when it is missing, damaged or of another stretch. */
export function readSidecar(storage: Storage, job: SettleJob, segment: SegmentSource): FileIndex | undefined {
  const path = sidecarPath(job, segment);
  if (!storage.exists(path)) return undefined;
  const fd = storage.open(path, "read");
  try {
    const index = readFileIndex(storage, fd, 0, storage.size(fd));
    return index !== undefined && isOf(index, segment) ? index : undefined;
  } finally {
    storage.close(fd);
  }
}

/** The whole sidecar, checked to its last point; undefined like `readSidecar`. */
export function readWholeSidecar(
  storage: Storage,
  job: SettleJob,
  segment: SegmentSource,
): Uint8Array | undefined {
  if (readSidecar(storage, job, segment) === undefined) return undefined;
  const bytes = readFile(storage, sidecarPath(job, segment));
  if (bytes === undefined || wholeIndexLength(bytes) !== bytes.length) return undefined;
  return bytes;
}

/**
 * What the sidecar holds, made from the segment's entries: their headers are checked, their payloads are not.
 * @throws MillraceError JOURNAL_DAMAGED
 */
export function indexSegment(storage: Storage, job: SettleJob, segment: SegmentSource): Uint8Array {
  const source = openEntrySource(storage, job, segment);
  try {
    const partitions = collectPoints(storage, source);
    partitions.sort((a, b) => a.topicId - b.topicId || a.partition - b.partition);
    return encodeFileIndex({ ...segment, shardId: job.shardId }, partitions);
  } finally {
    storage.close(source.fd);
  }
}

function collectPoints(storage: Storage, source: EntrySource): PartitionPoints[] {
  const topics = new Map<number, Map<number, IndexPoints>>();
  const partitions: PartitionPoints[] = [];
  const window = new SegmentWindow(storage, JOURNAL_LIMITS.sortReadBytes);
  walkEntries(window, source, (index, offset, size) => {
    const word = index >> 2;
    const { words } = window;
    if (words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH) return true;
    const topicId = readU32(words, word + ENTRY_TOPIC_ID_WORD);
    const partition = readU32(words, word + ENTRY_PARTITION_WORD);
    let topic = topics.get(topicId);
    if (topic === undefined) {
      topic = new Map();
      topics.set(topicId, topic);
    }
    let points = topic.get(partition);
    if (points === undefined) {
      points = new IndexPoints();
      topic.set(partition, points);
      partitions.push({ topicId, partition, points });
    }
    points.add(
      readU64(words, word + ENTRY_BASE_OFFSET_WORD),
      readU32(words, word + ENTRY_COUNT_WORD),
      readU64(words, word + ENTRY_APPEND_TIME_WORD),
      offset,
      size,
    );
    return true;
  });
  return partitions;
}

function isOf({ header }: FileIndex, { basePosition, endPosition, epoch }: SegmentSource): boolean {
  return header.basePosition === basePosition && header.endPosition === endPosition && header.epoch === epoch;
}

function sidecarPath({ directory }: SettleJob, { basePosition, epoch }: SegmentSource): string {
  return `${directory}/${sidecarFileName(basePosition, epoch)}`;
}
