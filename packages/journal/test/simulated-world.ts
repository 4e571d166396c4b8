import { crc32 } from "@millrace/protocol/internal";
import {
  type Background,
  type BackgroundJob,
  ColdReader,
  completeBackgroundJob,
  ENTRY_HEADER_BYTES,
  type EntryMemory,
  InlineSyncer,
  type JobDone,
  Journal,
  type JournalOptions,
  type ReplayHandler,
  type SeededRandom,
  type SettlingOptions,
  type SimulatedStorage,
  type Storage,
  type SyncerContext,
} from "../src/internal.ts";

export const SHARDS_DIRECTORY: string = "/data/shards";
export const SHARD_ID: number = 3;
export const DIRECTORY: string = `${SHARDS_DIRECTORY}/0003`;

/** What a test may break, to prove that the simulation notices. */
export interface Breakage {
  readonly wrap?: (storage: Storage) => Storage;
  /** Runs jobs, otherwise than they ought to be. */
  readonly run?: (storage: Storage, job: BackgroundJob, done: JobDone) => void;
  readonly check?: JournalOptions["check"];
}

/** Jobs run when the simulation says so, in any order. */
export class SteppedBackground implements Background {
  readonly jobs: { job: BackgroundJob; done: JobDone }[] = [];
  private readonly storage: Storage;
  private readonly run: NonNullable<Breakage["run"]>;

  constructor(storage: Storage, run: Breakage["run"] = completeBackgroundJob) {
    this.storage = storage;
    this.run = run;
  }

  submit(job: BackgroundJob, done: JobDone): void {
    this.jobs.push({ job, done });
  }

  /** Runs one of the jobs that wait. @returns what it was, undefined when none waits */
  step(random: SeededRandom): BackgroundJob["kind"] | undefined {
    const at = random.below(this.jobs.length);
    const [next] = this.jobs.splice(at, 1);
    if (next === undefined) return undefined;
    const { job, done } = next;
    // A pace would be kept in real time.
    this.run(this.storage, job.kind === "settle" ? { ...job, bytesPerSecond: 0 } : job, done);
    return job.kind;
  }
}

/** A piece of ring memory, used from its start to its end and then again. */
export class EntryRing implements EntryMemory {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  private at = 0;

  constructor(capacity: number) {
    const buffer = new SharedArrayBuffer(capacity);
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
  }

  /** Room for an entry; a gap in front of it breaks the run. @returns its index, or -1 when the ring is used up */
  claim(length: number, gap: number): number {
    const index = this.at + gap * 8;
    const size = (length + 7) & -8;
    if (index + size > this.bytes.length) return -1;
    this.at = index + size;
    return index;
  }

  /** The owner reuses the memory: whoever still needs it finds rubbish. */
  release(): void {
    this.bytes.fill(0xa5, 0, this.at);
    this.at = 0;
  }
}

/** A stored payload: random batch bytes, marker and checksum. */
export function batchPayload(random: SeededRandom, length: number): Buffer {
  const payload = Buffer.alloc(length + 5);
  for (let at = 0; at < length; at++) payload[at] = random.uint32() & 255;
  payload[length] = 0xce;
  payload.writeUInt32BE(crc32(payload, 0, length), length + 1);
  return payload;
}

/** Collects what recovery reports. */
export class Recorder implements ReplayHandler {
  state: Uint8Array | undefined;
  readonly entries: { position: number; bytes: Buffer }[] = [];

  onCheckpoint(state: Uint8Array): void {
    this.state = state;
  }

  onEntry(words: Int32Array, bytes: Buffer, index: number, position: number): void {
    const length = words[index >> 2] as number;
    this.entries.push({ position, bytes: Buffer.from(bytes.subarray(index, index + length)) });
  }
}

/** A journal on a simulated machine, with everything else it needs. */
export interface OpenedJournal {
  readonly storage: Storage;
  readonly journal: Journal;
  readonly recorder: Recorder;
  readonly syncer: InlineSyncer;
  readonly background: SteppedBackground;
  readonly reader: ColdReader;
}

export interface OpenWorld {
  readonly storage: SimulatedStorage;
  readonly random: SeededRandom;
  readonly clock: { nowMs: number };
  readonly segmentSizeBytes: number;
  readonly settling: SettlingOptions;
  readonly breakage: Breakage;
}

export function openJournal(world: OpenWorld): OpenedJournal {
  const { random, clock, segmentSizeBytes, settling, breakage } = world;
  const storage = breakage.wrap?.(world.storage) ?? world.storage;
  const recorder = new Recorder();
  const background = new SteppedBackground(storage, breakage.run);
  let syncer: InlineSyncer | undefined;
  const journal = Journal.open({
    storage,
    directory: DIRECTORY,
    shardId: SHARD_ID,
    syncer: (context: SyncerContext) => {
      syncer = new InlineSyncer(storage, context, { stepped: true });
      return syncer;
    },
    background,
    clock: { monotonicMs: () => clock.nowMs },
    entropy: { uint32: () => random.uint32() },
    segmentSizeBytes,
    settling,
    replay: recorder,
    ...(breakage.check === undefined ? {} : { check: breakage.check }),
  });
  return {
    storage,
    journal,
    recorder,
    syncer: syncer as InlineSyncer,
    background,
    reader: new ColdReader(storage, SHARDS_DIRECTORY),
  };
}

/** The header's fields that say what an entry is about, from its stored bytes. */
export function fieldsOf(bytes: Buffer): {
  topicId: number;
  partition: number;
  baseOffset: number;
  count: number;
  appendTime: number;
  syncedPosition: number;
  payload: Buffer;
} {
  const u64 = (at: number): number => Number(bytes.readBigUInt64LE(at));
  return {
    syncedPosition: u64(24),
    topicId: bytes.readUInt32LE(32),
    partition: bytes.readUInt32LE(36),
    baseOffset: u64(40),
    count: bytes.readUInt32LE(48),
    appendTime: u64(56),
    payload: bytes.subarray(ENTRY_HEADER_BYTES),
  };
}
