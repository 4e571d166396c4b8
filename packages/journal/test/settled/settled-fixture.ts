import { crc32 } from "node:zlib";
import {
  ENTRY_TYPE_BATCH,
  type SeededRandom,
  type SettledFile,
  type SettleJob,
  type SettleResult,
  type SettleSource,
  type Storage,
} from "../../src/internal.ts";
import { decodeSidecarHeader, sidecarPartitionAt } from "../../src/lookup/sidecar-layout.ts";
import { parseSegmentFileName, segmentSeed } from "../../src/segment/segment-layout.ts";
import { wholeIndexLength } from "../../src/settled/settled-index.ts";
import {
  decodeSettledHeader,
  decodeSettledTrailer,
  settledFileName,
  settledSeed,
} from "../../src/settled/settled-layout.ts";
import { readFile } from "../../src/storage/storage.ts";
import { openFixture } from "../journal-fixture.ts";
import { batchPayload, fieldsOf } from "../simulated-world.ts";

export const DIRECTORY: string = "/shards/0003";
export const JOURNAL_ID: number = 0xdecade;

/** A batch as the journal took it, or as a settled file has it. */
export interface Batch {
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly appendTime: number;
  readonly payload: Buffer;
}

/** With its position in the journal. */
export interface WrittenBatch extends Batch {
  readonly position: number;
}

/** With its place in a file. */
export interface StoredBatch extends Batch {
  readonly at: number;
  readonly size: number;
}

export interface JournalPlan {
  readonly segments: number;
  readonly segmentSizeBytes: number;
  readonly topics: number;
  /** One of them; default: each as likely as any other. */
  readonly topicOf?: (random: SeededRandom) => number;
  readonly partitions: number;
  readonly payloadBytes: (random: SeededRandom) => number;
  /** Consecutive batches of one partition. */
  readonly runLength: number;
  readonly stateChance: number;
  readonly directory?: string;
}

export interface BuiltJournal {
  /** Those in `sources`, in the journal's order. */
  readonly batches: WrittenBatch[];
  readonly sources: Extract<SettleSource, { kind: "segment" }>[];
}

/** A journal with some ended segments, and one more that is written to. Offsets leave gaps now and then. */
export function buildJournal(storage: Storage, random: SeededRandom, plan: JournalPlan): BuiltJournal {
  const directory = plan.directory ?? DIRECTORY;
  storage.mkdir(directory);
  const { segmentSizeBytes } = plan;
  const { journal } = openFixture(directory, { storage, segmentSizeBytes });
  const offsets = new Map<string, number>();
  const batches: WrittenBatch[] = [];
  let time = 1_700_000_000_000;
  let topicId = 0;
  let partition = 0;
  let left = 0;
  while (journal.stagedPosition < plan.segments * segmentSizeBytes + segmentSizeBytes / 2) {
    if (left === 0) {
      topicId = plan.topicOf?.(random) ?? random.below(plan.topics);
      partition = random.below(plan.partitions);
      left = 1 + random.below(plan.runLength);
    }
    left--;
    if (random.chance(plan.stateChance)) journal.stageState(Buffer.alloc(1 + random.below(300), 7));
    const key = `${topicId}:${partition}`;
    const baseOffset = (offsets.get(key) ?? 0) + (random.chance(0.01) ? 1000 : 0);
    const count = 1 + random.below(20);
    offsets.set(key, baseOffset + count);
    time += random.below(3);
    const payload = batchPayload(random, plan.payloadBytes(random));
    const position = journal.stageBatch(topicId, partition, baseOffset, count, time, payload);
    batches.push({ position, topicId, partition, baseOffset, count, appendTime: time, payload });
    if (random.chance(0.1)) journal.flush();
  }
  journal.flush();
  journal.requestSync();
  const sources = sourcesIn(storage, directory);
  journal.close();
  const end = sources.at(-1)?.endPosition ?? 0;
  return { batches: batches.filter(({ position }) => position < end), sources };
}

/** The segments of a folder but the last one, in which nothing is deleted yet. */
function sourcesIn(storage: Storage, directory: string): BuiltJournal["sources"] {
  const names = storage.list(directory).flatMap((name) => parseSegmentFileName(name) ?? []);
  names.sort((a, b) => a.basePosition - b.basePosition);
  return names.slice(0, -1).map(({ basePosition, epoch }, i) => {
    const endPosition = names[i + 1]?.basePosition as number;
    return { kind: "segment", basePosition, epoch, endPosition };
  });
}

/** Rows for a job: topicId, partition, log start, retention class. */
export function rowsOf(rows: readonly (readonly [number, number, number, number])[]): Float64Array {
  return Float64Array.from([...rows].sort((a, b) => a[0] - b[0] || a[1] - b[1]).flat());
}

/** A job over all of these sources, as fast as it goes. */
export function jobOf(sources: readonly SettleSource[], overrides: Partial<SettleJob> = {}): SettleJob {
  return {
    kind: "settle",
    directory: DIRECTORY,
    shardId: 3,
    epoch: 1,
    journalId: JOURNAL_ID,
    sources,
    firstPart: 0,
    partitions: new Float64Array(0),
    method: "auto",
    adoptBytesMin: 0,
    bytesPerSecond: 0,
    ...overrides,
  };
}

/** The batches of a journal that rows keep, of the stretch that was settled. */
export function livingBatches(batches: readonly Batch[], rows: Float64Array): Batch[] {
  const starts = new Map<string, number>();
  for (let at = 0; at < rows.length; at += 4)
    starts.set(`${rows[at]}:${rows[at + 1]}`, rows[at + 2] as number);
  return batches.filter(({ topicId, partition, baseOffset, count }) => {
    const start = starts.get(`${topicId}:${partition}`);
    return start !== undefined && baseOffset + count > start;
  });
}

/** One string a batch, by topic, partition and offset: what differs is seen at once. */
export function summary(batches: readonly Batch[]): string[] {
  const sorted = [...batches].sort(
    (a, b) => a.topicId - b.topicId || a.partition - b.partition || a.baseOffset - b.baseOffset,
  );
  return sorted.map(
    ({ topicId, partition, baseOffset, count, appendTime, payload }) =>
      `${topicId}:${partition} ${baseOffset}+${count} ${appendTime} ${payload.length} ${crc32(payload)}`,
  );
}

export interface ReadFile {
  readonly batches: StoredBatch[];
  /** topicId, partition and bytes in turn. */
  readonly sections: [number, number, number][];
}

/**
 * Reads a settled file from its first byte to its last and checks it: names, header, entries under the file's seed,
 * index with points that lead to every batch, trailer, and what its row says. An error tells what is wrong.
 */
export function readSettledFile(
  storage: Storage,
  file: SettledFile,
  directory: string = DIRECTORY,
): ReadFile {
  const bytes = Buffer.from(readFile(storage, `${directory}/${settledFileName(file)}`) ?? []);
  const aligned = new Uint8Array(bytes).slice();
  const fail = (what: string): never => {
    throw new Error(`${settledFileName(file)}: ${what}`);
  };
  if (bytes.length !== file.sizeBytes) fail(`size is ${bytes.length}, listed ${file.sizeBytes}`);
  const trailer = decodeSettledTrailer(aligned.slice(-32)) ?? fail("no trailer");
  if (trailer.footerAt !== file.footerAt) fail("footer is elsewhere");
  const footer = aligned.slice(file.footerAt, -32);
  if (footer.length !== trailer.footerLength || wholeIndexLength(footer) !== footer.length)
    fail("bad footer");
  const words = new Int32Array(footer.buffer);
  const header = decodeSidecarHeader(words) ?? fail("no footer");
  if (header.basePosition !== file.basePosition || header.endPosition !== file.endPosition) fail("stretch");
  const own = decodeSettledHeader(aligned);
  if ((own === undefined) !== file.adopted) fail("header");
  if (own !== undefined && settledFileName(own) !== settledFileName(file)) fail("name");
  const seed = file.adopted
    ? segmentSeed(JOURNAL_ID, file.basePosition, header.epoch)
    : settledSeed(JOURNAL_ID, file);
  const batches = readBatches(bytes, file.footerAt, seed >>> 0, fail);
  const table = words.subarray(16);
  const sections: [number, number, number][] = [];
  for (let i = 0; i < header.partitionCount; i++) {
    const { topicId, partition, pointsAt, pointCount, ...section } = sidecarPartitionAt(table, i);
    sections.push([topicId, partition, section.bytes]);
    const own = batches.filter((batch) => batch.topicId === topicId && batch.partition === partition);
    const last = own.at(-1) as StoredBatch;
    if (own[0]?.baseOffset !== section.firstOffset) fail("first offset");
    if (last.baseOffset + last.count !== section.endOffset) fail("end offset");
    if (own[0]?.appendTime !== section.firstTime || last.appendTime !== section.lastTime) fail("times");
    if (own.reduce((sum, { size }) => sum + size, 0) !== section.bytes) fail("bytes");
    const points = new Uint32Array(footer.buffer, pointsAt, pointCount * 4);
    for (const batch of own) {
      const point = lookUp(points, batch.baseOffset - section.firstOffset);
      if (batch.at < point.at || batch.at + batch.size > point.at + point.length) fail("a point misses");
      if (batch.appendTime - section.firstTime < point.time) fail("time of a point");
    }
  }
  checkRow(file, sections, batches, fail);
  return { batches, sections };
}

function readBatches(bytes: Buffer, end: number, seed: number, fail: (what: string) => never): StoredBatch[] {
  const batches: StoredBatch[] = [];
  for (let at = 64; at < end; ) {
    const length = bytes.readInt32LE(at);
    if (length < 88 || at + length > end) fail(`length at ${at}`);
    const entry = bytes.subarray(at, at + length);
    if (crc32(entry.subarray(0, 84), seed) !== entry.readUInt32LE(84)) fail(`header checksum at ${at}`);
    const size = (length + 7) & -8;
    if (entry.readInt32LE(4) === ENTRY_TYPE_BATCH) {
      if (crc32(entry.subarray(88, -5)) !== entry.readUInt32LE(80)) fail(`payload checksum at ${at}`);
      batches.push({ ...fieldsOf(entry), at, size });
    }
    at += size;
  }
  return batches;
}

function lookUp(points: Uint32Array, offsetDelta: number): { at: number; length: number; time: number } {
  let found = 0;
  for (let at = 0; at < points.length; at += 4) if ((points[at] as number) <= offsetDelta) found = at;
  const [, at, length, time] = points.subarray(found, found + 4) as unknown as [
    number,
    number,
    number,
    number,
  ];
  return { at, length, time };
}

function checkRow(
  file: SettledFile,
  sections: readonly [number, number, number][],
  batches: readonly Batch[],
  fail: (what: string) => never,
): void {
  const lastTimes = new Map(
    batches.map((batch) => [`${batch.topicId}:${batch.partition}`, batch.appendTime]),
  );
  const times = batches.map(({ appendTime }) => appendTime);
  const expected = {
    entryBytes: sections.reduce((sum, [, , bytes]) => sum + bytes, 0),
    partitionCount: sections.length,
    firstTopicId: sections[0]?.[0] ?? 0,
    lastTopicId: sections.at(-1)?.[0] ?? 0,
    firstTime: Math.min(...times),
    lastTime: Math.max(...times),
    expiryTime: Math.min(...lastTimes.values()),
  };
  for (const [name, value] of Object.entries(expected)) {
    if (file[name as keyof SettledFile] !== value) fail(`${name} is ${value}`);
  }
  const isSorted = summary(batches).join() === summaryAsIs(batches).join();
  if (!file.adopted && !isSorted) fail("order");
  if (!file.adopted && batches.some((batch, i) => i > 0 && batch === batches[i - 1])) fail("twice");
}

function summaryAsIs(batches: readonly Batch[]): string[] {
  return batches.flatMap((batch) => summary([batch]));
}

/** Sums of bytes by partition as a job reports them. */
export function bytesOf(files: readonly ReadFile[]): number[] {
  const sums = new Map<string, [number, number, number]>();
  for (const [topicId, partition, bytes] of files.flatMap(({ sections }) => sections)) {
    const sum = sums.get(`${topicId}:${partition}`) ?? [topicId, partition, 0];
    sum[2] += bytes;
    sums.set(`${topicId}:${partition}`, sum);
  }
  return [...sums.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]).flat();
}

/** Reads all files of some results. */
export function readResults(
  storage: Storage,
  results: readonly SettleResult[],
  directory?: string,
): ReadFile[] {
  return results.flatMap(({ files }) => files.map((file) => readSettledFile(storage, file, directory)));
}
