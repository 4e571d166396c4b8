import { readU32, readU64, writeU64 } from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";
import { type IndexPoints, POINT_BYTES } from "./index-points.ts";
import type { OpenSegment } from "./partition-index.ts";

/**
 * The index of a file of entries: the sidecar of a sealed segment, `<the segment's name>.idx`, and the footer of a settled
 * file. It holds nothing that the entries do not, and is written once, as a whole. Little-endian.
 *
 *     byte
 *       0 | "MRINDEX1"                                        |
 *       8 | format version u32     | shardId u32              |
 *      16 | epoch u32              | partition count u32      |  epoch: of the segment, also when it was adopted
 *      24 | basePosition u64                                  |  of the segment, or of the stretch that was settled
 *      32 | endPosition u64                                   |
 *      40 | zeros                                             |
 *      56 | tableCrc u32           | crc u32                  |  crc: CRC-32 of bytes 0..59
 *      64 | table: 64 bytes a partition, by topicId and partition; tableCrc covers it
 *         | points of each partition: 16 bytes a point, see index-points.ts
 *
 *     partition in the table
 *       0 | topicId u32            | partition u32            |
 *       8 | firstOffset u64                                   |
 *      16 | endOffset u64                                     |  one past the last
 *      24 | firstTime u64                                     |  append time of the first entry
 *      32 | lastTime u64                                      |
 *      40 | pointsAt u64                                      |  from the index's first byte
 *      48 | point count u32        | pointsCrc u32            |
 *      56 | bytes u64                                         |  of the entries, with the alignment behind each
 */
export const SIDECAR_HEADER_BYTES = 64;
export const SIDECAR_PARTITION_BYTES = 64;
export const SIDECAR_FORMAT_VERSION = 1;
const MAGIC_LOW = 0x4e_49_52_4d; // "MRIN"
const MAGIC_HIGH = 0x31_58_45_44; // "DEX1"
const VERSION_WORD = 2;
const SHARD_ID_WORD = 3;
const EPOCH_WORD = 4;
const PARTITION_COUNT_WORD = 5;
const BASE_POSITION_WORD = 6;
const END_POSITION_WORD = 8;
const TABLE_CRC_WORD = 14;
const CRC_WORD = 15;

const TOPIC_ID_WORD = 0;
const PARTITION_WORD = 1;
const FIRST_OFFSET_WORD = 2;
const END_OFFSET_WORD = 4;
const FIRST_TIME_WORD = 6;
const LAST_TIME_WORD = 8;
const POINTS_AT_WORD = 10;
const POINT_COUNT_WORD = 12;
const POINTS_CRC_WORD = 13;
const BYTES_WORD = 14;

/** What a sidecar's first bytes state. */
export interface SidecarHeader {
  readonly version: number;
  readonly epoch: number;
  readonly partitionCount: number;
  readonly basePosition: number;
  readonly endPosition: number;
  readonly tableCrc: number;
}

/** One partition in a sidecar's table. */
export interface SidecarPartition {
  readonly topicId: number;
  readonly partition: number;
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly pointsAt: number;
  readonly pointCount: number;
  readonly pointsCrc: number;
  /** Of the entries, with the alignment behind each. */
  readonly bytes: number;
}

/** The points of one partition in a file. */
export interface PartitionPoints {
  readonly topicId: number;
  readonly partition: number;
  readonly points: IndexPoints;
}

/** What the index is of. */
export interface IndexedFile {
  readonly shardId: number;
  readonly epoch: number;
  readonly basePosition: number;
  readonly endPosition: number;
}

/** The whole sidecar of an ended segment, in a buffer of its own. */
export function encodeSidecar(segment: OpenSegment, shardId: number): Uint8Array {
  const { basePosition, epoch, endPosition } = segment;
  const partitions = segment.partitions.map((index) => {
    const points = index.points[index.segments.indexOf(segment)];
    if (points === undefined) throw new Error("a partition of a segment has no points there");
    return { topicId: index.topicId, partition: index.partition, points };
  });
  return encodeFileIndex(
    { shardId, epoch, basePosition, endPosition: endPosition as number },
    partitions.sort(byTopicAndPartition),
  );
}

/** The index of a file, in a buffer of its own. `partitions` are in the order of topicId and partition. */
export function encodeFileIndex(file: IndexedFile, partitions: readonly PartitionPoints[]): Uint8Array {
  const tableAt = SIDECAR_HEADER_BYTES;
  const pointsStart = tableAt + partitions.length * SIDECAR_PARTITION_BYTES;
  let size = pointsStart;
  for (const { points } of partitions) size += points.count * POINT_BYTES;

  const bytes = new Uint8Array(size);
  const words = new Int32Array(bytes.buffer);
  let at = pointsStart;
  for (let i = 0; i < partitions.length; i++) {
    const { topicId, partition, points } = partitions[i] as PartitionPoints;
    const used = points.used();
    words.set(used, at >> 2);
    const entry = (tableAt + i * SIDECAR_PARTITION_BYTES) >> 2;
    words[entry + TOPIC_ID_WORD] = topicId | 0;
    words[entry + PARTITION_WORD] = partition | 0;
    writeU64(words, entry + FIRST_OFFSET_WORD, points.firstOffset);
    writeU64(words, entry + END_OFFSET_WORD, points.endOffset);
    writeU64(words, entry + FIRST_TIME_WORD, points.firstTime);
    writeU64(words, entry + LAST_TIME_WORD, points.lastTime);
    writeU64(words, entry + POINTS_AT_WORD, at);
    words[entry + POINT_COUNT_WORD] = points.count;
    words[entry + POINTS_CRC_WORD] = checksumWords(words, at >> 2, used.length, 0);
    writeU64(words, entry + BYTES_WORD, points.bytes);
    at += used.byteLength;
  }

  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = SIDECAR_FORMAT_VERSION;
  words[SHARD_ID_WORD] = file.shardId | 0;
  words[EPOCH_WORD] = file.epoch | 0;
  words[PARTITION_COUNT_WORD] = partitions.length;
  writeU64(words, BASE_POSITION_WORD, file.basePosition);
  writeU64(words, END_POSITION_WORD, file.endPosition);
  words[TABLE_CRC_WORD] = checksumWords(words, tableAt >> 2, (pointsStart - tableAt) >> 2, 0);
  words[CRC_WORD] = checksumWords(words, 0, CRC_WORD, 0);
  return bytes;
}

/** @returns undefined when the bytes are not a sidecar's header. `words` begin with the file. */
export function decodeSidecarHeader(words: Int32Array): SidecarHeader | undefined {
  if (words.length < SIDECAR_HEADER_BYTES / 4) return undefined;
  if (words[0] !== MAGIC_LOW || words[1] !== MAGIC_HIGH) return undefined;
  if (words[CRC_WORD] !== checksumWords(words, 0, CRC_WORD, 0)) return undefined;
  return {
    version: readU32(words, VERSION_WORD),
    epoch: readU32(words, EPOCH_WORD),
    partitionCount: readU32(words, PARTITION_COUNT_WORD),
    basePosition: readU64(words, BASE_POSITION_WORD),
    endPosition: readU64(words, END_POSITION_WORD),
    tableCrc: words[TABLE_CRC_WORD] as number,
  };
}

/** The partition's entry in a table of `count` partitions, or undefined. `table` begins with the table. */
export function findSidecarPartition(
  table: Int32Array,
  count: number,
  topicId: number,
  partition: number,
): SidecarPartition | undefined {
  const entryWords = SIDECAR_PARTITION_BYTES / 4;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = middle * entryWords;
    const topic = readU32(table, entry + TOPIC_ID_WORD);
    if (topic < topicId || (topic === topicId && readU32(table, entry + PARTITION_WORD) < partition)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const entry = low * entryWords;
  if (low === count) return undefined;
  if (readU32(table, entry + TOPIC_ID_WORD) !== topicId) return undefined;
  if (readU32(table, entry + PARTITION_WORD) !== partition) return undefined;
  return sidecarPartitionAt(table, low);
}

/** The i-th partition of a table. */
export function sidecarPartitionAt(table: Int32Array, i: number): SidecarPartition {
  const entry = (i * SIDECAR_PARTITION_BYTES) / 4;
  return {
    topicId: readU32(table, entry + TOPIC_ID_WORD),
    partition: readU32(table, entry + PARTITION_WORD),
    firstOffset: readU64(table, entry + FIRST_OFFSET_WORD),
    endOffset: readU64(table, entry + END_OFFSET_WORD),
    firstTime: readU64(table, entry + FIRST_TIME_WORD),
    lastTime: readU64(table, entry + LAST_TIME_WORD),
    pointsAt: readU64(table, entry + POINTS_AT_WORD),
    pointCount: readU32(table, entry + POINT_COUNT_WORD),
    pointsCrc: table[entry + POINTS_CRC_WORD] as number,
    bytes: readU64(table, entry + BYTES_WORD),
  };
}

function byTopicAndPartition(a: PartitionPoints, b: PartitionPoints): number {
  return a.topicId - b.topicId || a.partition - b.partition;
}
