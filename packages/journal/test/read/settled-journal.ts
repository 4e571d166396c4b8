import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { crc32 } from "@millrace/protocol/internal";
import {
  alignEntry,
  type ColdReadRequest,
  checksumWords,
  type Journal,
  readU32,
  readU64,
  type SeededRandom,
} from "../../src/internal.ts";
import { IndexPoints } from "../../src/lookup/index-points.ts";
import { encodeFileIndex, type PartitionPoints } from "../../src/lookup/sidecar-layout.ts";
import { segmentFileName, sidecarFileName } from "../../src/segment/segment-layout.ts";
import { encodeManifest, manifestFileName, type SettledFile } from "../../src/settled/manifest-layout.ts";
import {
  encodeSettledHeader,
  encodeSettledTrailer,
  SETTLED_HEADER_BYTES,
  type SettledName,
  settledFileName,
  settledSeed,
} from "../../src/settled/settled-layout.ts";
import { openFixture } from "../journal-fixture.ts";
import { batchPayload } from "../simulated-world.ts";

export const SHARD_ID = 3;
const JOURNAL_ID = 77;

export interface ModelEntry {
  readonly baseOffset: number;
  readonly count: number;
  readonly timeMs: number;
  readonly payload: Buffer;
}

interface StoredEntry {
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly timeMs: number;
  /** With the alignment behind it. */
  readonly bytes: Buffer;
}

/**
 * A journal whose oldest segments are made into settled files by hand, with the model of what it holds: what a shard, its
 * settler and retention leave behind for a cold reader.
 */
export class SettledJournal {
  readonly directory: string;
  readonly journal: Journal;
  readonly model: Map<string, ModelEntry[]> = new Map();
  files: SettledFile[] = [];
  settledPosition = 0;
  generation = 0;
  epoch = 1;
  private readonly nextOffsets: Map<string, number> = new Map();
  private settledSegments = 0;
  private readonly random: SeededRandom;
  private nowMs = 1_000;

  constructor(shards: string, random: SeededRandom, segmentSizeBytes = 16_384) {
    this.directory = `${shards}/0003`;
    this.random = random;
    this.journal = openFixture(this.directory, { segmentSizeBytes }).journal;
  }

  /** Adds a batch of a partition; sometimes there is a gap in the offsets in front of it. */
  append(topicId: number, partition: number, payloadBytes: number): void {
    const key = `${topicId}:${partition}`;
    const entries = this.model.get(key) ?? [];
    this.model.set(key, entries);
    const gap = this.random.chance(0.05) ? this.random.below(30) : 0;
    const baseOffset = (this.nextOffsets.get(key) ?? 0) + gap;
    const count = 1 + this.random.below(5);
    this.nextOffsets.set(key, baseOffset + count);
    if (this.random.chance(0.6)) this.nowMs += this.random.below(20);
    const payload = batchPayload(this.random, payloadBytes);
    this.journal.stageBatch(topicId, partition, baseOffset, count, this.nowMs, payload);
    entries.push({ baseOffset, count, timeMs: this.nowMs, payload });
    this.journal.flush();
  }

  appendRandom(entries: number): void {
    for (let i = 0; i < entries; i++) {
      const topicId = 1 + this.random.below(3);
      // One partition is rare.
      const partition = topicId === 3 && this.random.chance(0.9) ? 0 : this.random.below(2);
      this.append(topicId, partition, 20 + this.random.below(600));
    }
  }

  /** Ended segments that are not settled. */
  get backlog(): number {
    return this.journal.index.sealedSegments.length - this.settledSegments;
  }

  /** Settles the next ended segments, a file or two together, or one by adopting it. The segments' files go away. */
  settle(segments: number, how: "sort" | "adopt" | "two" = "sort"): void {
    const sources = this.journal.index.sealedSegments.slice(
      this.settledSegments,
      this.settledSegments + segments,
    );
    const first = sources[0];
    const last = sources.at(-1);
    if (first === undefined || last === undefined) throw new Error("nothing to settle");
    const stretch = { basePosition: first.basePosition, endPosition: last.endPosition };
    if (how === "adopt") {
      for (const { basePosition, endPosition, epoch } of sources) {
        const bytes = readFileSync(`${this.directory}/${segmentFileName(basePosition, epoch)}`);
        const name = { basePosition, epoch: this.epoch, part: 0 };
        const data = bytes.subarray(0, endPosition - basePosition);
        this.files.push(this.write(name, endPosition, data, entriesOf(data), true));
      }
    } else {
      const entries = sources.flatMap(({ basePosition, endPosition, epoch }) =>
        entriesOf(
          readFileSync(`${this.directory}/${segmentFileName(basePosition, epoch)}`).subarray(
            0,
            endPosition - basePosition,
          ),
        ),
      );
      const parts =
        how === "two"
          ? [entries.filter(({ topicId }) => topicId === 1), entries.filter(({ topicId }) => topicId !== 1)]
          : [entries];
      parts.forEach((part, number) => {
        if (part.length > 0) this.files.push(this.writeSorted(stretch, this.epoch, number, part));
      });
    }
    for (const { basePosition, epoch } of sources) {
      rmSync(`${this.directory}/${segmentFileName(basePosition, epoch)}`);
      rmSync(`${this.directory}/${sidecarFileName(basePosition, epoch)}`, { force: true });
    }
    this.settledSegments += sources.length;
    this.settledPosition = last.endPosition;
    this.swap();
  }

  /** Replaces neighbouring files by one, as rewriting does. */
  rewrite(at: number, count: number): void {
    const old = this.files.slice(at, at + count);
    const entries = old.flatMap((file) =>
      entriesOf(readFileSync(this.path(file)).subarray(0, file.footerAt)),
    );
    const stretch = {
      basePosition: (old[0] as SettledFile).basePosition,
      endPosition: Math.max(...old.map(({ endPosition }) => endPosition)),
    };
    const part = 1 + Math.max(...old.map((file) => file.part));
    this.files.splice(at, count, this.writeSorted(stretch, this.epoch, part, entries));
    this.swap();
    for (const file of old) rmSync(this.path(file));
  }

  /** Retention drops the oldest files. @returns the offsets at which partitions now begin, by key */
  drop(count: number): void {
    const dropped = this.files.splice(0, count);
    this.swap();
    for (const file of dropped) {
      for (const { topicId, partition, baseOffset } of entriesOf(
        readFileSync(this.path(file)).subarray(0, file.footerAt),
      )) {
        const key = `${topicId}:${partition}`;
        this.model.set(
          key,
          (this.model.get(key) ?? []).filter((entry) => entry.baseOffset !== baseOffset),
        );
      }
      rmSync(this.path(file));
    }
  }

  path(file: SettledName): string {
    return `${this.directory}/${settledFileName(file)}`;
  }

  /** Writes the manifest of the next generation. */
  swap(): void {
    this.generation++;
    const { epoch, generation, settledPosition } = this;
    this.files.sort((a, b) => a.basePosition - b.basePosition || a.part - b.part);
    const content = encodeManifest({
      shardId: SHARD_ID,
      epoch,
      generation,
      settledPosition,
      files: this.files,
      partitions: [],
    });
    const trailer = Buffer.alloc(4);
    trailer.writeUInt32LE(crc32(content, 0, content.length));
    writeFileSync(`${this.directory}/${manifestFileName(epoch)}`, Buffer.concat([content, trailer]));
  }

  /** As a shard that knows of the last swap would ask. */
  request(
    topicId: number,
    partition: number,
    offset: number,
    limits: Partial<ColdReadRequest> = {},
  ): ColdReadRequest {
    const endOffset = this.firstUnsettled(topicId, partition);
    const { index, writtenPosition } = this.journal;
    return {
      shardId: SHARD_ID,
      topicId,
      partition,
      offset,
      limitOffset: 1e9,
      endPosition: writtenPosition,
      settled:
        this.generation === 0 || offset >= endOffset
          ? undefined
          : { epoch: this.epoch, generation: this.generation, endOffset },
      location: index.locate(topicId, partition, Math.max(offset, Math.min(endOffset, 1e9))),
      ...limits,
    };
  }

  timeRequest(topicId: number, partition: number, timeMs: number): ColdReadRequest {
    const endOffset = this.firstUnsettled(topicId, partition);
    const { index } = this.journal;
    let location = index.locateTime(topicId, partition, timeMs);
    if (location !== undefined && location.segmentBase < this.settledPosition) {
      location = index.locate(topicId, partition, Math.min(endOffset, 1e9));
    }
    return { ...this.request(topicId, partition, 0), location };
  }

  /** The partition's first offset that is not settled; Infinity when all of it is. */
  firstUnsettled(topicId: number, partition: number): number {
    for (const { baseOffset } of this.model.get(`${topicId}:${partition}`) ?? []) {
      const location = this.journal.index.locate(topicId, partition, baseOffset);
      if (location !== undefined && location.segmentBase >= this.settledPosition) return baseOffset;
    }
    return Number.POSITIVE_INFINITY;
  }

  private writeSorted(
    stretch: { basePosition: number; endPosition: number },
    epoch: number,
    part: number,
    entries: readonly StoredEntry[],
  ): SettledFile {
    const { basePosition, endPosition } = stretch;
    const name = { basePosition, epoch, part };
    const seed = settledSeed(JOURNAL_ID, name);
    const sorted = [...entries].sort(
      (a, b) => a.topicId - b.topicId || a.partition - b.partition || a.baseOffset - b.baseOffset,
    );
    const chunks: Buffer[] = [];
    for (const { bytes } of sorted) {
      const words = new Int32Array(new Uint8Array(bytes).buffer);
      words[21] = checksumWords(words, 0, 21, seed);
      chunks.push(Buffer.from(words.buffer));
    }
    const header = encodeSettledHeader({ ...name, seed, shardId: SHARD_ID, endPosition });
    const data = Buffer.concat([header, ...chunks]);
    return this.write(name, endPosition, data, sorted, false);
  }

  private write(
    name: SettledName,
    endPosition: number,
    data: Buffer,
    entries: readonly StoredEntry[],
    adopted: boolean,
  ): SettledFile {
    const byPartition = new Map<string, PartitionPoints>();
    let at = SETTLED_HEADER_BYTES;
    for (const { topicId, partition, baseOffset, count, timeMs, bytes } of entries) {
      const key = `${topicId}:${partition}`;
      const known = byPartition.get(key) ?? { topicId, partition, points: new IndexPoints() };
      byPartition.set(key, known);
      known.points.add(baseOffset, count, timeMs, at, bytes.length);
      at += bytes.length;
    }
    const partitions = [...byPartition.values()].sort(
      (a, b) => a.topicId - b.topicId || a.partition - b.partition,
    );
    const file = { shardId: SHARD_ID, epoch: name.epoch, basePosition: name.basePosition, endPosition };
    const footer = encodeFileIndex(file, partitions);
    const footerAt = data.length;
    const trailer = encodeSettledTrailer({ footerAt, footerLength: footer.length });
    const content = Buffer.concat([data, footer, trailer]);
    writeFileSync(this.path(name), content);
    const times = partitions.flatMap(({ points }) => [points.firstTime, points.lastTime]);
    return {
      ...name,
      endPosition,
      sizeBytes: content.length,
      footerAt,
      entryBytes: footerAt - SETTLED_HEADER_BYTES,
      firstTime: Math.min(...times),
      lastTime: Math.max(...times),
      expiryTime: Math.min(...partitions.map(({ points }) => points.lastTime)),
      firstTopicId: (partitions[0] as PartitionPoints).topicId,
      lastTopicId: (partitions.at(-1) as PartitionPoints).topicId,
      partitionCount: partitions.length,
      adopted,
      records: entries.reduce((sum, { count }) => sum + count, 0),
    };
  }
}

/** All entries of a file's first bytes, which end with the last of them. */
function entriesOf(data: Buffer): StoredEntry[] {
  const entries: StoredEntry[] = [];
  for (let at = SETTLED_HEADER_BYTES; at < data.length; ) {
    const words = new Int32Array(new Uint8Array(data.subarray(at, at + 88)).buffer);
    const size = alignEntry(words[0] as number);
    entries.push({
      topicId: readU32(words, 8),
      partition: readU32(words, 9),
      baseOffset: readU64(words, 10),
      count: readU32(words, 12),
      timeMs: readU64(words, 14),
      bytes: data.subarray(at, at + size),
    });
    at += size;
  }
  return entries;
}

/** The entries of a DELIVER frame's body. */
export function deliveredEntries(
  target: Buffer,
  start: number,
  end: number,
  model: readonly ModelEntry[],
): ModelEntry[] {
  const entries: ModelEntry[] = [];
  for (let at = start; at < end; ) {
    const baseOffset = Number(target.readBigUInt64BE(at + 2));
    const expected = model.find((entry) => entry.baseOffset === baseOffset);
    if (expected === undefined) throw new Error(`nobody wrote an entry at offset ${baseOffset}`);
    const count = target.readUInt32BE(at + 11);
    const timeMs = Number(target.readBigUInt64BE(at + 16));
    at += 24;
    const payload = Buffer.from(target.subarray(at, at + expected.payload.length));
    entries.push({ baseOffset, count, timeMs, payload });
    at += payload.length;
  }
  return entries;
}
