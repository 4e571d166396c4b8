import {
  type ColdReadRequest,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE_BATCH,
  READ_DAMAGED,
  READ_NEEDS_ROOM,
  READ_UNFINISHED,
  type SeededRandom,
  TIME_NOT_FOUND,
} from "../src/internal.ts";
import type { Change } from "./model-state.ts";
import { fieldsOf, type OpenedJournal, SHARD_ID } from "./simulated-world.ts";

/** An entry as it was staged. */
export interface ModelEntry {
  readonly position: number;
  readonly end: number;
  readonly bytes: Buffer;
  /** What a STATE entry changes. */
  readonly changes: readonly Change[];
}

export interface PartitionName {
  readonly topicId: number;
  readonly partition: number;
}

export interface ModelPartition extends PartitionName {
  nextOffset: number;
  lastTime: number;
}

/** Thrown when an invariant does not hold. */
export class Violation extends Error {}

export function expect(condition: boolean, message: () => string): void {
  if (!condition) throw new Violation(message());
}

/** @returns how many entries of the model the checkpoint covers. */
export function checkState(state: Uint8Array | undefined, model: readonly ModelEntry[]): number {
  if (state === undefined) return 0;
  const buffer = Buffer.from(state);
  const count = Number(buffer.readBigUInt64BE(0));
  const end = Number(buffer.readBigUInt64BE(8));
  expect(count <= model.length, () => `checkpoint of ${count} entries, but only ${model.length} were staged`);
  expect((model[count - 1]?.end ?? 0) === end, () => `checkpoint of ${count} entries does not end at ${end}`);
  return count;
}

export function checkPrefix(
  entries: readonly { position: number; bytes: Buffer }[],
  model: readonly ModelEntry[],
  from: number,
): void {
  for (let i = 0; i < entries.length; i++) {
    const got = entries[i] as { position: number; bytes: Buffer };
    const wanted = model[from + i];
    if (wanted === undefined) throw new Violation(`entry at ${got.position} was never staged`);
    expect(
      got.position === wanted.position && sameEntry(got.bytes, wanted.bytes),
      () => `recovered entry at ${got.position} is not the one staged at ${wanted.position}`,
    );
  }
}

/** Everything but the words that only the journal knows. */
function sameEntry(a: Buffer, b: Buffer): boolean {
  return (
    a.length === b.length &&
    a.readInt32LE(4) === b.readInt32LE(4) &&
    a.subarray(32, 52).equals(b.subarray(32, 52)) &&
    a.subarray(56, 64).equals(b.subarray(56, 64)) &&
    a.subarray(ENTRY_HEADER_BYTES).equals(b.subarray(ENTRY_HEADER_BYTES))
  );
}

export function isOf(entry: ModelEntry, partition: PartitionName): boolean {
  if (entry.bytes.readInt32LE(4) !== ENTRY_TYPE_BATCH) return false;
  const { topicId, partition: number } = fieldsOf(entry.bytes);
  return topicId === partition.topicId && number === partition.partition;
}

/** The DELIVER entries of a partition from an offset on, or undefined when the reader met damage. */
export function readPartition(
  opened: OpenedJournal,
  partition: PartitionName,
  from: number,
  random: SeededRandom,
): Buffer[] | undefined {
  const { reader } = opened;
  const entries: Buffer[] = [];
  const target = Buffer.alloc(16_384);
  let offset = from;
  for (let reads = 0; ; reads++) {
    expect(reads < 10_000, () => `reading does not end at offset ${offset}`);
    const start = random.below(30);
    const maxBytes = Math.min(target.length - start, random.pick([16_384, 4000, 700]));
    const bytes = reader.read(requestFor(opened, partition, offset), target, start, maxBytes);
    if (bytes === READ_DAMAGED) return undefined;
    if (bytes === READ_NEEDS_ROOM || bytes === READ_UNFINISHED) continue;
    expect(bytes >= 0, () => `read failed: ${bytes} ${reader.error?.message}`);
    expect(reader.entryCount > 0 || bytes === 0, () => "bytes without entries");
    entries.push(Buffer.from(target.subarray(start, start + bytes)));
    // Nothing: what comes next is not written yet.
    if (bytes === 0 || !reader.more) return entries;
    expect(reader.nextOffset > offset, () => `read at ${offset} made no progress`);
    offset = reader.nextOffset;
  }
}

/** What a shard asks its reader for. */
function requestFor(
  { journal }: OpenedJournal,
  { topicId, partition }: PartitionName,
  offset: number,
  timeMs?: number,
): ColdReadRequest {
  const { index, epoch, settledGeneration: generation } = journal;
  const limitOffset = Number.MAX_SAFE_INTEGER;
  const endOffset = index.firstOffset(topicId, partition) ?? limitOffset;
  const isSettled = generation > 0 && (timeMs !== undefined || offset < endOffset);
  return {
    shardId: SHARD_ID,
    topicId,
    partition,
    offset,
    limitOffset,
    endPosition: journal.writtenPosition,
    settled: isSettled ? { epoch, generation, endOffset } : undefined,
    location:
      timeMs === undefined
        ? index.locate(topicId, partition, offset)
        : index.locateTime(topicId, partition, timeMs),
  };
}

/** Compares DELIVER entries with what they should be. */
export function compareReads(got: readonly Buffer[], wanted: readonly ModelEntry[]): void {
  const all = Buffer.concat(got);
  const expected = Buffer.concat(wanted.map(({ bytes }) => deliverEntry(bytes)));
  expect(all.equals(expected), () => `read gave ${all.length} bytes, expected ${expected.length}`);
}

/** An entry as consumers get it. */
export function deliverEntry(bytes: Buffer): Buffer {
  const { baseOffset, count, appendTime, payload } = fieldsOf(bytes);
  const head = Buffer.alloc(24);
  head[0] = 0x95;
  head[1] = 0xcf;
  head.writeBigUInt64BE(BigInt(baseOffset), 2);
  head[10] = 0xce;
  head.writeUInt32BE(count, 11);
  head[15] = 0xcf;
  head.writeBigUInt64BE(BigInt(appendTime), 16);
  return Buffer.concat([head, payload]);
}

/** The offset of the first entry from an offset on that was appended at a time or later. */
export function findTime(
  opened: OpenedJournal,
  partition: PartitionName,
  from: number,
  timeMs: number,
): number | undefined {
  const { reader } = opened;
  let found = READ_UNFINISHED;
  while (found === READ_UNFINISHED) {
    found = reader.findTime(requestFor(opened, partition, from, timeMs), timeMs);
  }
  if (found >= 0) return found;
  expect(found === TIME_NOT_FOUND, () => `time search failed: ${found} ${reader.error?.message}`);
  // The first entry there that is written is the one.
  const target = Buffer.alloc(70_000);
  const request = requestFor(opened, partition, reader.nextOffset);
  const bytes = reader.read(request, target, 0, target.length);
  return bytes > 0 ? Number(target.readBigUInt64BE(2)) : undefined;
}

export function headerlessBytes(
  payload: Buffer,
  topicId: number,
  partition: number,
  baseOffset: number,
  count: number,
  appendTime: number,
): Buffer {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + payload.length);
  bytes.writeInt32LE(bytes.length, 0);
  bytes.writeInt32LE(ENTRY_TYPE_BATCH, 4);
  bytes.writeUInt32LE(topicId, 32);
  bytes.writeUInt32LE(partition, 36);
  bytes.writeBigUInt64LE(BigInt(baseOffset), ENTRY_BASE_OFFSET_WORD * 4);
  bytes.writeUInt32LE(count, ENTRY_COUNT_WORD * 4);
  bytes.writeBigUInt64LE(BigInt(appendTime), 56);
  payload.copy(bytes, ENTRY_HEADER_BYTES);
  return bytes;
}
