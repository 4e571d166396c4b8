import { crc32 } from "@millrace/protocol/internal";
import { readU32, readU64, writeU64 } from "../entry/entry-layout.ts";
import { POINT_BYTES, POINT_WORDS } from "../lookup/index-points.ts";
import type { JournalIndex } from "../lookup/journal-index.ts";
import type { OpenSegment, PartitionIndex } from "../lookup/partition-index.ts";

/**
 * A checkpoint: the shard's state and the journal's index as they were at a committed position,
 * `checkpoint-<position, 16 digits>.ckpt`. Little-endian.
 *
 *     byte
 *       0 | "MRCHKPT1"                                        |
 *       8 | format version u32     | shardId u32              |
 *      16 | epoch u32              | flags u32                |  flags: 1 = clean, the owner stopped here
 *      24 | position u64                                      |
 *      32 | sequence u64                                      |  of the next entry
 *      40 | segment base u64                                  |  of the segment that holds `position`
 *      48 | segment epoch u32      | segment count u32        |  count: sealed segments
 *      56 | sealed partitions u32  | open partitions u32      |
 *      64 | state length u64                                  |
 *      72 | zeros                                             |
 *      80 | sealed segments, 24 bytes each: | base u64 | end u64 | epoch u32, zeros u32 |
 *         | sealed partitions:              | topicId u32 | partition u32 | count u32 | zeros u32 |, then `count` times
 *         |                                 | firstOffset u64 | firstTime u64 | segment's number u32 | endOffset - firstOffset u32 |
 *         |                                 | bytes u64 |
 *         | open partitions:                | topicId u32 | partition u32 | firstOffset u64 | endOffset u64 | firstTime u64 |
 *         |                                 | lastTime u64 | point count u32 | zeros u32 | bytes u64 |, then points of 16 bytes
 *         | state
 *         | crc u32                           CRC-32 of everything before it
 *
 * Sealed partitions say in which sealed segments a partition has entries; open partitions hold the points of the
 * segment that was written to, up to `position`. Bytes are those of the entries, with the alignment behind each. What was
 * settled when the checkpoint was taken is not in it, and what was settled since is passed over when it is read.
 */
export const CHECKPOINT_HEADER_BYTES = 80;
export const CHECKPOINT_FORMAT_VERSION = 1;
export const CHECKPOINT_SEGMENT_BYTES = 24;
export const CHECKPOINT_SEALED_HEAD_BYTES = 16;
export const CHECKPOINT_SEALED_BYTES = 32;
export const CHECKPOINT_OPEN_HEAD_BYTES = 56;
export const CHECKPOINT_FLAG_CLEAN = 1;
const CRC_BYTES = 4;
const MAGIC_LOW = 0x48_43_52_4d; // "MRCH"
const MAGIC_HIGH = 0x31_54_50_4b; // "KPT1"
const VERSION_WORD = 2;
const SHARD_ID_WORD = 3;
const EPOCH_WORD = 4;
const FLAGS_WORD = 5;
const POSITION_WORD = 6;
const SEQUENCE_WORD = 8;
const SEGMENT_BASE_WORD = 10;
const SEGMENT_EPOCH_WORD = 12;
const SEGMENT_COUNT_WORD = 13;
const SEALED_PARTITIONS_WORD = 14;
const OPEN_PARTITIONS_WORD = 15;
const STATE_LENGTH_WORD = 16;

const NAME = /^checkpoint-(\d{16})\.ckpt$/;

export function checkpointFileName(position: number): string {
  return `checkpoint-${String(position).padStart(16, "0")}.ckpt`;
}

/** @returns the position, or undefined when `name` is not that of a checkpoint. */
export function parseCheckpointFileName(name: string): number | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export interface CheckpointHead {
  readonly shardId: number;
  readonly epoch: number;
  readonly clean: boolean;
  readonly position: number;
  readonly sequence: number;
}

/** A checkpoint read back: the index stays encoded until `restoreIndex`. */
export interface Checkpoint extends CheckpointHead {
  readonly version: number;
  readonly state: Uint8Array;
  readonly segments: readonly CheckpointSegment[];
  readonly words: Int32Array;
}

/** A segment that had ended. */
export interface CheckpointSegment {
  readonly basePosition: number;
  readonly epoch: number;
  readonly endPosition: number;
}

/**
 * The journal's part of a checkpoint, which `stateLength` bytes of state and the checksum follow. Segments that have
 * ended count as sealed: the checkpoint is written once their sidecars are durable.
 */
export function encodeCheckpointIndex(
  head: CheckpointHead,
  index: JournalIndex,
  stateLength: number,
): Uint8Array {
  const ended = index.openSegments.filter((segment) => segment.endPosition !== undefined);
  const active = index.openSegments.find((segment) => segment.endPosition === undefined);
  const segments: CheckpointSegment[] = [
    ...index.sealedSegments,
    ...ended.map(({ basePosition, epoch, endPosition }) => ({
      basePosition,
      epoch,
      endPosition: endPosition as number,
    })),
  ];
  const sealed = [...index.partitions()].filter((partition) => sealedIn(partition, active) > 0);
  const open = active?.partitions ?? [];

  let size = CHECKPOINT_HEADER_BYTES + segments.length * CHECKPOINT_SEGMENT_BYTES;
  for (const partition of sealed) {
    size += CHECKPOINT_SEALED_HEAD_BYTES + sealedIn(partition, active) * CHECKPOINT_SEALED_BYTES;
  }
  for (const partition of open) {
    size += CHECKPOINT_OPEN_HEAD_BYTES + (partition.points.at(-1)?.count ?? 0) * POINT_BYTES;
  }
  const words = new Int32Array(size / 4);
  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = CHECKPOINT_FORMAT_VERSION;
  words[SHARD_ID_WORD] = head.shardId | 0;
  words[EPOCH_WORD] = head.epoch | 0;
  words[FLAGS_WORD] = head.clean ? CHECKPOINT_FLAG_CLEAN : 0;
  writeU64(words, POSITION_WORD, head.position);
  writeU64(words, SEQUENCE_WORD, head.sequence);
  writeU64(words, SEGMENT_BASE_WORD, active?.basePosition ?? head.position);
  words[SEGMENT_EPOCH_WORD] = (active?.epoch ?? head.epoch) | 0;
  words[SEGMENT_COUNT_WORD] = segments.length;
  words[SEALED_PARTITIONS_WORD] = sealed.length;
  words[OPEN_PARTITIONS_WORD] = open.length;
  writeU64(words, STATE_LENGTH_WORD, stateLength);

  let at = CHECKPOINT_HEADER_BYTES / 4;
  for (const segment of segments) {
    writeU64(words, at, segment.basePosition);
    writeU64(words, at + 2, segment.endPosition);
    words[at + 4] = segment.epoch | 0;
    at += CHECKPOINT_SEGMENT_BYTES / 4;
  }
  const numberOf = new Map(ended.map((segment, i) => [segment, index.sealedSegments.length + i]));
  for (const partition of sealed) {
    at = writeSealed(words, at, partition, sealedIn(partition, active), index.firstSealed, numberOf);
  }
  for (const partition of open) at = writeOpen(words, at, partition);
  return new Uint8Array(words.buffer);
}

/** @returns undefined when the bytes are not a whole checkpoint. Their buffer begins with them. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint | undefined {
  const end = bytes.length - CRC_BYTES;
  if (end < CHECKPOINT_HEADER_BYTES || bytes.byteOffset % 4 !== 0) return undefined;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  if (words[0] !== MAGIC_LOW || words[1] !== MAGIC_HIGH) return undefined;
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset + end, CRC_BYTES).readUInt32LE();
  if (crc32(bytes, 0, end) !== stored) return undefined;
  const stateLength = readU64(words, STATE_LENGTH_WORD);
  if (stateLength > end - CHECKPOINT_HEADER_BYTES) return undefined;
  const segments: CheckpointSegment[] = [];
  let at = CHECKPOINT_HEADER_BYTES / 4;
  for (let i = 0; i < readU32(words, SEGMENT_COUNT_WORD); i++) {
    segments.push({
      basePosition: readU64(words, at),
      endPosition: readU64(words, at + 2),
      epoch: readU32(words, at + 4),
    });
    at += CHECKPOINT_SEGMENT_BYTES / 4;
  }
  return {
    version: readU32(words, VERSION_WORD),
    shardId: readU32(words, SHARD_ID_WORD),
    epoch: readU32(words, EPOCH_WORD),
    clean: ((words[FLAGS_WORD] as number) & CHECKPOINT_FLAG_CLEAN) !== 0,
    position: readU64(words, POSITION_WORD),
    sequence: readU64(words, SEQUENCE_WORD),
    state: bytes.subarray(end - stateLength, end),
    segments,
    words,
  };
}

/**
 * Fills an empty index with what the checkpoint holds, but for what is settled: `settledPosition` is where a segment ends.
 */
export function restoreIndex(checkpoint: Checkpoint, index: JournalIndex, settledPosition: number): void {
  const { words, segments } = checkpoint;
  const settled = segments.filter(({ endPosition }) => endPosition <= settledPosition).length;
  for (const { basePosition, epoch, endPosition } of segments.slice(settled)) {
    index.addSealedSegment({ basePosition, epoch, endPosition, dense: false, sealedAtMs: 0 });
  }
  let at = (CHECKPOINT_HEADER_BYTES + segments.length * CHECKPOINT_SEGMENT_BYTES) / 4;
  for (let i = 0; i < readU32(words, SEALED_PARTITIONS_WORD); i++) {
    const partition = index.partitionIndex(readU32(words, at), readU32(words, at + 1));
    const count = readU32(words, at + 2);
    at += CHECKPOINT_SEALED_HEAD_BYTES / 4;
    for (let k = 0; k < count; k++) {
      const number = readU32(words, at + 4) - settled;
      const firstOffset = readU64(words, at);
      const endOffset = firstOffset + readU32(words, at + 5);
      const bytes = readU64(words, at + 6);
      if (number >= 0) partition.addSealed(number, firstOffset, endOffset, readU64(words, at + 2), bytes);
      at += CHECKPOINT_SEALED_BYTES / 4;
    }
  }
  const openCount = readU32(words, OPEN_PARTITIONS_WORD);
  const segmentBase = readU64(words, SEGMENT_BASE_WORD);
  if (segmentBase === checkpoint.position || segmentBase < settledPosition) return;
  const active = index.beginSegment(segmentBase, readU32(words, SEGMENT_EPOCH_WORD));
  for (let i = 0; i < openCount; i++) at = readOpen(words, at, index, active);
}

/** Ended segments of the partition: all but the one that is written to. */
function sealedIn(partition: PartitionIndex, active: OpenSegment | undefined): number {
  const open = partition.segments.length;
  const inActive = active !== undefined && partition.segments[open - 1] === active ? 1 : 0;
  return partition.sealedCount + open - inActive;
}

function writeSealed(
  words: Int32Array,
  start: number,
  partition: PartitionIndex,
  count: number,
  firstSealed: number,
  numberOf: ReadonlyMap<OpenSegment, number>,
): number {
  let at = start;
  words[at] = partition.topicId | 0;
  words[at + 1] = partition.partition | 0;
  words[at + 2] = count;
  at += CHECKPOINT_SEALED_HEAD_BYTES / 4;
  for (let i = 0; i < partition.sealedCount; i++) {
    writeU64(words, at, partition.sealedFirstOffset[i] as number);
    writeU64(words, at + 2, partition.sealedFirstTime[i] as number);
    words[at + 4] = (partition.sealedSegment[i] as number) - firstSealed;
    words[at + 5] = (partition.sealedSpan[i] as number) | 0;
    writeU64(words, at + 6, partition.sealedBytes[i] as number);
    at += CHECKPOINT_SEALED_BYTES / 4;
  }
  for (let i = 0; i < partition.segments.length; i++) {
    const number = numberOf.get(partition.segments[i] as OpenSegment);
    const points = partition.points[i];
    if (number === undefined || points === undefined) continue;
    writeU64(words, at, points.firstOffset);
    writeU64(words, at + 2, points.firstTime);
    words[at + 4] = number;
    words[at + 5] = (points.endOffset - points.firstOffset) | 0;
    writeU64(words, at + 6, points.bytes);
    at += CHECKPOINT_SEALED_BYTES / 4;
  }
  return at;
}

function writeOpen(words: Int32Array, start: number, partition: PartitionIndex): number {
  const points = partition.points.at(-1);
  if (points === undefined) throw new Error("a partition of the open segment has no points there");
  let at = start;
  words[at] = partition.topicId | 0;
  words[at + 1] = partition.partition | 0;
  writeU64(words, at + 2, points.firstOffset);
  writeU64(words, at + 4, points.endOffset);
  writeU64(words, at + 6, points.firstTime);
  writeU64(words, at + 8, points.lastTime);
  words[at + 10] = points.count;
  writeU64(words, at + 12, points.bytes);
  at += CHECKPOINT_OPEN_HEAD_BYTES / 4;
  words.set(points.used(), at);
  return at + points.count * POINT_WORDS;
}

function readOpen(words: Int32Array, start: number, index: JournalIndex, active: OpenSegment): number {
  let at = start;
  const points = index.partitionIndex(readU32(words, at), readU32(words, at + 1)).pointsIn(active);
  points.firstOffset = readU64(words, at + 2);
  points.endOffset = readU64(words, at + 4);
  points.firstTime = readU64(words, at + 6);
  points.lastTime = readU64(words, at + 8);
  const count = readU32(words, at + 10);
  points.bytes = readU64(words, at + 12);
  at += CHECKPOINT_OPEN_HEAD_BYTES / 4;
  points.restore(new Uint32Array(words.slice(at, at + count * POINT_WORDS)));
  return at + count * POINT_WORDS;
}
