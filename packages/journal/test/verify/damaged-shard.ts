import { BatchBuilder, BatchReader } from "@millrace/protocol";
import {
  ENTRY_CHECK,
  type Finding,
  type Journal,
  judgeShard,
  runVerifyJob,
  SeededRandom,
  type SegmentResult,
  type SettledResult,
  SimulatedStorage,
  type Storage,
  shardJobs,
  surveyShard,
} from "../../src/internal.ts";
import { SegmentWindow } from "../../src/segment/segment-window.ts";
import { decodeManifest } from "../../src/settled/manifest-layout.ts";
import { settledFileName } from "../../src/settled/settled-layout.ts";
import { readFile } from "../../src/storage/storage.ts";
import { walkEntries } from "../../src/verify/damage-walk.ts";
import { identifySettled } from "../../src/verify/settled-identity.ts";
import { openFixture } from "../journal-fixture.ts";
import { fieldsOf } from "../simulated-world.ts";

export const DIRECTORY: string = "/data/shards/0003";
export const ASIDE: string = "/data/damaged/now/shards/0003";
const SHARD_ID = 3;
const SEGMENT_BYTES = 8_192;
const START_MS = 1_700_000_000_000;

/** A partition's records by offset, as text. */
export type Records = Map<string, string[]>;

export interface MadeShard {
  readonly storage: SimulatedStorage;
  readonly records: Records;
}

const PARTITIONS: readonly (readonly [number, number])[] = [
  [1, 0],
  [1, 1],
  [2, 0],
  [7, 3],
];

/**
 * A shard's folder as an owner leaves it behind: settled files that were sorted and adopted, segments of three epochs, two
 * checkpoints and a tail that no header says to be durable.
 */
export function makeShard(seed: number): MadeShard {
  const random = new SeededRandom(seed);
  const storage = new SimulatedStorage(random);
  storage.mkdir(DIRECTORY);
  const records: Records = new Map();
  for (let owner = 0; owner < 3; owner++) {
    const { journal } = open(storage);
    journal.startSettling({ settleRows });
    // The second owner copies nothing: its segments are adopted.
    journal.adoptOnly = owner === 1;
    const batches = owner === 2 ? 60 : 90;
    for (let i = 0; i < batches; i++) {
      publish(journal, records, random.below(PARTITIONS.length), random);
      if (i % 7 === 6) journal.stageState(Buffer.from([0x90]));
      if (i % 5 === 4) settleDown(journal);
      if (i % 30 === 29) journal.checkpoint(Buffer.from(`state ${owner} ${i}`), false);
    }
    settleDown(journal);
    if (owner < 2) {
      journal.checkpoint(Buffer.from(`end of ${owner}`), owner === 0);
      settleDown(journal);
    }
    journal.close();
  }
  return { storage, records };
}

function open(storage: Storage): { journal: Journal } {
  let now = 0;
  return openFixture(DIRECTORY, {
    storage,
    shardId: SHARD_ID,
    segmentSizeBytes: SEGMENT_BYTES,
    clock: { monotonicMs: () => (now += 1) },
    settling: { batchBytes: 3 * SEGMENT_BYTES, afterMs: 1e9, adoptBytesMin: 4_096 },
  });
}

function settleRows(): Float64Array {
  return Float64Array.from(PARTITIONS.flatMap(([topicId, partition]) => [topicId, partition, 0, 0]));
}

function publish(journal: Journal, records: Records, which: number, random: SeededRandom): void {
  const [topicId, partition] = PARTITIONS[which] as readonly [number, number];
  const key = `${topicId}/${partition}`;
  const values = records.get(key) ?? [];
  records.set(key, values);
  const baseOffset = values.length;
  const builder = new BatchBuilder(65_536);
  for (let count = 1 + random.below(3); count > 0; count--) {
    const value = `${key} ${values.length} ${"x".repeat(random.below(300))}`;
    builder.append({ value });
    values.push(value);
  }
  const payload = Buffer.from(builder.finish());
  journal.stageBatch(
    topicId,
    partition,
    baseOffset,
    values.length - baseOffset,
    START_MS + values.length,
    payload,
  );
}

function settleDown(journal: Journal): void {
  for (let i = 0; i < 20; i++) {
    journal.flush();
    journal.requestSync();
    journal.committedPosition();
  }
}

/** What a doctor finds in the shard. */
export function examine(storage: Storage): Finding[] {
  const survey = surveyShard(storage, DIRECTORY, SHARD_ID);
  const segments: SegmentResult[] = [];
  const settled: SettledResult[] = [];
  for (const job of shardJobs(survey)) {
    const result = runVerifyJob(storage, job, () => {});
    if (result?.kind === "segment") segments.push(result);
    else if (result?.kind === "settled") settled.push(result);
  }
  return judgeShard(survey, segments, settled);
}

/** One round of repairs. @returns steps that ran */
export function repair(storage: Storage, findings: readonly Finding[]): number {
  const seen = new Set<string>();
  let ran = 0;
  for (const step of findings.flatMap((finding) => finding.repair?.steps ?? [])) {
    const key = JSON.stringify([
      step.kind,
      step.path,
      step.kind === "rewrite" ? [step.patches, step.size] : 0,
    ]);
    if (seen.has(key)) continue;
    seen.add(key);
    runVerifyJob(storage, { kind: "repair", step, asidePath: ASIDE }, () => {});
    ran++;
  }
  return ran;
}

/** What a start of the shard makes of it: throws when it refuses. */
export function start(storage: Storage): void {
  const { journal } = open(storage);
  settleDown(journal);
  journal.close();
}

/** Everything that can be read of the shard, by "topic/partition/offset"; null for a removed record. */
export function readRecords(storage: Storage): Map<string, string | null> {
  const survey = surveyShard(storage, DIRECTORY, SHARD_ID);
  const content =
    survey.manifest === undefined ? undefined : readFile(storage, `${DIRECTORY}/${survey.manifest.name}`);
  const manifest = content === undefined ? undefined : decodeManifest(content);
  const found = new Map<string, string | null>();
  for (const file of manifest?.files ?? []) {
    const path = `${DIRECTORY}/${settledFileName(file)}`;
    readEntries(
      storage,
      path,
      file.footerAt,
      (window) => {
        const identity = identifySettled(window, path, file, SHARD_ID, survey.journalId as number);
        if (identity === undefined) throw new Error(`cannot be read: ${path}`);
        return identity.seed;
      },
      found,
    );
  }
  survey.segments.forEach(({ path, basePosition, seed }, i) => {
    if (basePosition < (manifest?.settledPosition ?? 0)) return;
    const limit = (survey.segments[i + 1]?.basePosition ?? Number.POSITIVE_INFINITY) - basePosition;
    readEntries(storage, path, limit, () => seed, found);
  });
  return found;
}

/** Adds what is in a file of entries. */
function readEntries(
  storage: Storage,
  path: string,
  limit: number,
  seedOf: (window: SegmentWindow) => number,
  found: Map<string, string | null>,
): void {
  const fd = storage.open(path, "read");
  const window = new SegmentWindow(storage, 65_536);
  window.attach(fd);
  const seed = seedOf(window);
  walkEntries(
    window,
    {
      path,
      from: 64,
      limit,
      seed,
      epoch: undefined,
      firstSequence: undefined,
      isConsecutive: false,
      check: ENTRY_CHECK,
    },
    {
      entry: (words, bytes, index) => {
        const length = words[index >> 2] as number;
        if (words[(index >> 2) + 1] === 1)
          addRecords(found, Buffer.from(bytes.subarray(index, index + length)));
      },
      hole: () => {},
    },
  );
  storage.close(fd);
}

function addRecords(found: Map<string, string | null>, entry: Buffer): void {
  const { topicId, partition, baseOffset, payload } = fieldsOf(entry);
  const reader = new BatchReader();
  reader.reset(payload, 0, payload.length);
  for (let i = 0; i < reader.count; i++) {
    const { value, removed } = reader.recordAt(i);
    found.set(`${topicId}/${partition}/${baseOffset + i}`, removed ? null : String(value));
  }
}
