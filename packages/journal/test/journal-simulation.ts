import { MillraceError } from "@millrace/protocol";
import { writeU64 } from "@millrace/protocol/internal";
import {
  DISK_FULL,
  ENTRY_BATCH_CRC_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE_BATCH,
  FAILED,
  FLUSHED,
  QUARANTINE_FILE,
  SeededRandom,
  SimulatedCrash,
  SimulatedStorage,
  writeEntryFields,
} from "../src/internal.ts";
import {
  checkPrefix,
  checkState,
  compareReads,
  expect,
  findTime,
  headerlessBytes,
  isOf,
  type ModelEntry,
  type ModelPartition,
  readPartition,
} from "./journal-model.ts";
import {
  type Breakage,
  batchPayload,
  DIRECTORY,
  EntryRing,
  fieldsOf,
  type OpenedJournal,
  type OpenWorld,
  openJournal,
} from "./simulated-world.ts";

export interface SimulationResult {
  lives: number;
  entries: number;
  damages: number;
  flips: number;
}

const LIVES_MAX = 4;
const RING_BYTES = 96 * 1024;

/**
 * Some lives of one journal on one machine that crashes at random calls, beside a model that remembers every entry.
 * @throws Error that carries the seed when an invariant does not hold
 */
export function simulate(seed: number, breakage: Breakage = {}): SimulationResult {
  const simulation = new Simulation(seed, breakage);
  try {
    simulation.run();
  } catch (error) {
    throw new Error(`MILLRACE_SEED=${seed} life=${simulation.result.lives}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return simulation.result;
}

class Simulation {
  readonly result: SimulationResult = { lives: 0, entries: 0, damages: 0, flips: 0 };
  private readonly random: SeededRandom;
  private readonly world: OpenWorld;
  private readonly storage: SimulatedStorage;
  private readonly partitions: ModelPartition[] = [];
  private readonly payloadMax: number;
  private readonly ring = new EntryRing(RING_BYTES);
  private model: ModelEntry[] = [];
  /** The highest committed position that the journal reported. */
  private floor = 0;
  /** A sync may fail in this life. */
  private syncFails = false;
  /** An owner that does not know that it was replaced, and what it may call committed at most. */
  private zombie: { opened: OpenedJournal; committed: number } | undefined;

  constructor(seed: number, breakage: Breakage) {
    const random = new SeededRandom(seed);
    this.random = random;
    this.storage = new SimulatedStorage(random);
    this.storage.mkdir("/data/shards");
    this.payloadMax = random.pick([40, 300, 3000]);
    this.world = {
      storage: this.storage,
      random,
      clock: { nowMs: 0 },
      segmentSizeBytes: random.pick([4096, 8192, 16384, 65536]),
      breakage,
    };
    const topics = 1 + random.below(2);
    for (let topicId = 0; topicId < topics; topicId++) {
      const count = 1 + random.below(4);
      for (let partition = 0; partition < count; partition++) {
        this.partitions.push({ topicId, partition, nextOffset: 0, lastTime: 1_700_000_000_000 });
      }
    }
  }

  run(): void {
    const lives = 1 + this.random.below(LIVES_MAX);
    for (let life = 0; life < lives; life++) {
      this.result.lives++;
      const opened = this.openWithCrashes();
      this.live(opened);
      this.zombie = undefined;
      if (!this.storage.hasCrashed && this.random.chance(0.4)) {
        this.zombie = { opened, committed: opened.syncer.committedPosition() };
        this.floor = this.zombie.committed;
        this.storage.crashAtCall = Number.POSITIVE_INFINITY;
        this.storage.failSyncIn = -1;
        continue;
      }
      this.storage.restart(this.random.chance(0.75) ? "power" : "process");
      if (this.random.chance(0.5)) this.damageCopy();
    }
    const opened = this.openWithCrashes();
    this.checkReads(opened, this.model);
    this.result.entries = this.model.length;
  }

  /** Opens the journal, the machine crashing meanwhile now and then, and compares what it recovered. */
  private openWithCrashes(): OpenedJournal {
    const { storage, random } = this;
    for (let crashes = 0; crashes < 3 && random.chance(0.3); crashes++) {
      storage.crashAtCall = storage.calls + random.below(40);
      try {
        this.open();
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw error;
      }
      storage.restart(random.chance(0.7) ? "power" : "process");
      this.zombie = undefined;
    }
    const opened = this.open();
    this.ring.release();
    this.checkRecovered(opened);
    return opened;
  }

  private open(): OpenedJournal {
    try {
      return openJournal(this.world);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "JOURNAL_QUARANTINED") throw error;
      // What an operator does after an EIO, in short.
      this.storage.unlink(`${DIRECTORY}/${QUARANTINE_FILE}`);
      this.storage.syncDirectory(DIRECTORY);
      return openJournal(this.world);
    }
  }

  private checkRecovered({ journal, recorder }: OpenedJournal): void {
    const from = checkState(recorder.state, this.model);
    checkPrefix(recorder.entries, this.model, from);
    const kept = from + recorder.entries.length;
    const end = journal.stagedPosition;
    expect(end >= this.floor, () => `recovered up to ${end}, but ${this.floor} was reported committed`);
    expect(
      kept >= this.model.filter((entry) => entry.end <= this.floor).length,
      () => `recovered ${kept} entries, fewer than were committed`,
    );
    if (journal.cleanShutdown) {
      expect(kept === this.model.length, () => `clean, but ${this.model.length - kept} entries are gone`);
    }
    expect(journal.committedPosition() === end, () => "what is recovered must count as committed");
    this.model = this.model.slice(0, kept);
    this.floor = end;
    for (const partition of this.partitions) partition.nextOffset = 0;
    for (const entry of this.model) {
      const fields = fieldsOf(entry.bytes);
      const partition = this.partitions.find(
        (each) => each.topicId === fields.topicId && each.partition === fields.partition,
      );
      if (partition === undefined || entry.bytes.readInt32LE(4) !== ENTRY_TYPE_BATCH) continue;
      partition.nextOffset = fields.baseOffset + fields.count;
    }
  }

  private live(opened: OpenedJournal): void {
    const { storage, random } = this;
    if (random.chance(0.8)) storage.crashAtCall = storage.calls + random.below(250);
    storage.shortWriteChance = random.pick([0, 0, 0.3]);
    const syncFails = random.chance(0.1);
    this.syncFails = syncFails;
    const steps = 20 + random.below(150);
    try {
      for (let step = 0; step < steps && !storage.hasCrashed; step++) {
        if (syncFails && step === steps >> 1) storage.failSyncIn = random.below(3);
        if (!this.step(opened)) break;
      }
      if (random.chance(0.2)) this.stop(opened);
      if (random.chance(0.2)) opened.journal.close();
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    storage.shortWriteChance = 0;
    storage.capacityBytes = Number.POSITIVE_INFINITY;
  }

  /** @returns false when the journal has failed. */
  private step(opened: OpenedJournal): boolean {
    const { journal, syncer, background } = opened;
    const { random, storage } = this;
    this.world.clock.nowMs += random.below(500);
    if (this.zombie !== undefined && random.chance(0.1)) this.stepZombie(this.zombie);
    const choice = random.below(20);
    if (choice < 8) this.stage(opened);
    else if (choice < 12) this.flush(opened);
    else if (choice < 14) journal.requestSync();
    else if (choice < 16) syncer.step();
    else if (choice < 17) background.step(random);
    else if (choice < 18) {
      if (random.chance(0.3)) journal.checkpoint(this.encodeState(), false);
    } else if (choice < 19) {
      if (random.chance(0.2)) {
        const used = storage.contents().reduce((sum, { size }) => sum + size, 0);
        storage.capacityBytes = random.chance(0.5) ? used + random.below(3000) : Number.POSITIVE_INFINITY;
      }
    } else if (random.chance(0.3)) {
      this.checkReads(
        opened,
        this.model.filter((entry) => entry.end <= journal.writtenPosition),
      );
    }
    // Not always, so that several syncs end between two looks.
    if (random.chance(0.6)) this.noteCommitted(opened);
    const failure = journal.failure();
    if (failure === undefined) return true;
    expect(storage.hasCrashed || this.syncFails, () => `failed without a cause: ${failure.message}`);
    expect(
      failure.code === "JOURNAL_FAILED" && journal.flush() === FAILED,
      () => "a failed journal must refuse to write",
    );
    return false;
  }

  /** The replaced owner goes on with whatever it was doing. */
  private stepZombie({ opened, committed }: { opened: OpenedJournal; committed: number }): void {
    const { journal, syncer, background } = opened;
    try {
      if (journal.failure() === undefined) journal.stageState(Buffer.alloc(this.random.below(500), 9));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    journal.flush();
    journal.requestSync();
    background.step(this.random);
    if (this.random.chance(0.5)) syncer.step();
    expect(journal.committedPosition() <= committed, () => "an owner that was replaced reported a commit");
  }

  private noteCommitted({ journal }: OpenedJournal): void {
    const committed = journal.committedPosition();
    expect(committed >= this.floor, () => `committed position went back from ${this.floor} to ${committed}`);
    expect(
      committed <= journal.writtenPosition && journal.writtenPosition <= journal.stagedPosition,
      () => `positions out of order: ${committed} ${journal.writtenPosition} ${journal.stagedPosition}`,
    );
    this.floor = committed;
  }

  /** The owner's orderly end. */
  private stop(opened: OpenedJournal): void {
    const { journal, syncer, background } = opened;
    this.storage.capacityBytes = Number.POSITIVE_INFINITY;
    if (journal.flush() !== FLUSHED) return;
    journal.checkpoint(this.encodeState(), true);
    for (let i = 0; i < 200 && journal.checkpointPending && journal.failure() === undefined; i++) {
      this.world.clock.nowMs += 100;
      syncer.step();
      background.step(this.random);
      this.noteCommitted(opened);
    }
    expect(
      !journal.checkpointPending || journal.failure() !== undefined,
      () => "the checkpoint of an orderly end never comes to an end",
    );
  }

  private flush({ journal }: OpenedJournal): void {
    const outcome = journal.flush();
    if (outcome === FAILED) return;
    expect(
      outcome === (journal.writtenPosition === journal.stagedPosition ? FLUSHED : DISK_FULL),
      () => `flush answered ${outcome}`,
    );
    expect(outcome === FLUSHED || journal.isFull, () => "a full disk must show in isFull");
    // Whatever flush answered, the ring is its owner's again.
    this.ring.release();
  }

  private stage(opened: OpenedJournal): void {
    const { journal } = opened;
    const { random } = this;
    const partition = random.pick(this.partitions);
    if (journal.isFull) {
      if (random.chance(0.2)) this.stageState(opened);
      return;
    }
    if (random.chance(0.15)) {
      this.stageState(opened);
      return;
    }
    const count = 1 + random.below(5);
    const payload = batchPayload(random, random.below(this.payloadMax));
    const time = Math.max(partition.lastTime, partition.lastTime + random.below(50) - 20);
    const { topicId, nextOffset } = partition;
    if (random.chance(0.1)) {
      const position = journal.stageBatch(topicId, partition.partition, nextOffset, count, time, payload);
      this.remember(
        position,
        headerlessBytes(payload, topicId, partition.partition, nextOffset, count, time),
      );
    } else {
      const length = ENTRY_HEADER_BYTES + payload.length;
      let index = this.ring.claim(length, random.chance(0.2) ? 1 + random.below(9) : 0);
      if (index < 0) {
        this.flush(opened);
        if (journal.failure() !== undefined || journal.isFull) return;
        index = this.ring.claim(length, 0);
      }
      const { words, bytes } = this.ring;
      const word = index >> 2;
      words[word] = length;
      words[word + 1] = ENTRY_TYPE_BATCH;
      // What the gateway leaves in fields that staging fills in.
      words.fill(-1, word + 2, word + 8);
      writeEntryFields(words, word, {
        topicId,
        partition: partition.partition,
        baseOffset: nextOffset,
        count,
        appendTime: time,
        producerId: random.uint32(),
        baseSequence: random.uint32() * 1000,
        producerEpoch: random.below(5),
      });
      words[word + ENTRY_BATCH_CRC_WORD] = payload.readInt32BE(payload.length - 4);
      payload.copy(bytes, index + ENTRY_HEADER_BYTES);
      bytes.fill(0, index + length, index + ((length + 7) & -8));
      const position = journal.stage(this.ring, index);
      journal.index.add(topicId, partition.partition, nextOffset, count, time, position, length);
      this.remember(position, Buffer.from(bytes.subarray(index, index + length)));
    }
    // An offset may be skipped, as after an unclean stop.
    partition.nextOffset += count + (random.chance(0.05) ? random.below(1000) : 0);
    partition.lastTime = time;
  }

  private stageState({ journal }: OpenedJournal): void {
    const payload = Buffer.alloc(this.random.below(200), 7);
    const position = journal.stageState(payload);
    const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + payload.length);
    bytes.writeInt32LE(bytes.length, 0);
    bytes.writeInt32LE(2, 4);
    payload.copy(bytes, ENTRY_HEADER_BYTES);
    this.remember(position, bytes);
  }

  private remember(position: number, bytes: Buffer): void {
    const last = this.model.at(-1);
    expect(last === undefined || position >= last.end, () => `position ${position} went back`);
    this.model.push({ position, end: position + ((bytes.length + 7) & -8), bytes });
  }

  /** A checkpoint's state says how many entries made it. */
  private encodeState(): Uint8Array {
    const state = new Uint8Array(16 + this.random.below(500));
    writeU64(state, 0, this.model.length);
    writeU64(state, 8, this.model.at(-1)?.end ?? 0);
    return state;
  }

  /** Reads every partition from its first offset on, through index and cold reader, and searches some times. */
  private checkReads(opened: OpenedJournal, expected: readonly ModelEntry[]): void {
    for (const partition of this.partitions) {
      const wanted = expected.filter((entry) => isOf(entry, partition));
      const got = readPartition(opened, partition, this.random);
      expect(got !== undefined, () => `cold read met damage: ${opened.reader.error?.message}`);
      compareReads(got ?? [], wanted);
      this.checkTimes(opened, partition, wanted);
    }
  }

  private checkTimes(opened: OpenedJournal, partition: ModelPartition, wanted: readonly ModelEntry[]): void {
    for (let i = 0; i < 3; i++) {
      const some = wanted[this.random.below(wanted.length)];
      const timeMs = (some === undefined ? 5 : fieldsOf(some.bytes).appendTime) + this.random.below(3) - 1;
      const first = wanted.find((entry) => fieldsOf(entry.bytes).appendTime >= timeMs);
      const found = findTime(opened, partition, timeMs);
      const offset = first === undefined ? undefined : fieldsOf(first.bytes).baseOffset;
      expect(found === offset, () => `time ${timeMs} is at offset ${offset}, but was found at ${found}`);
    }
  }

  /** Flips one bit on a copy of the machine at rest and looks what becomes of it. */
  private damageCopy(): void {
    const { random } = this;
    const storage = this.storage.clone(random);
    const files = storage
      .contents()
      .filter(({ path, size }) => path.startsWith(`${DIRECTORY}/`) && !path.endsWith(".tmp") && size > 0);
    if (files.length === 0) return;
    const logs = files.filter(({ path }) => path.endsWith(".log"));
    const { path, size } = random.pick(random.chance(0.8) && logs.length > 0 ? logs : files);
    const at = random.below(size);
    const isJournal = path.endsWith(".log");
    const position = isJournal ? Number(path.slice(-29, -13)) + at : -1;
    // A copy without the flip says what would be there.
    const intact = openIntact({ ...this.world, storage: this.storage.clone(random) });
    if (intact === undefined) return;
    this.result.flips++;
    storage.flipBit(path, at, random.below(8));
    let opened: OpenedJournal;
    try {
      opened = openJournal({ ...this.world, storage });
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      if (error.code === "JOURNAL_QUARANTINED") return;
      expect(error.code === "JOURNAL_DAMAGED", () => `flip in ${path} at ${at}: ${error.message}`);
      expect(
        typeof error.details.file === "string" && typeof error.details.position === "number",
        () => `damage without a place: ${error.message}`,
      );
      expect(error.details.file === path, () => `flip in ${path} at ${at}, reported as ${error.message}`);
      this.result.damages++;
      return;
    }
    const { recorder, journal } = opened;
    const from = checkState(recorder.state, this.model);
    checkPrefix(recorder.entries, this.model, from);
    const kept = this.model.slice(0, from + recorder.entries.length);
    const whole = this.model.slice(0, intact.count);
    if (kept.length < whole.length) {
      // Less was recovered. That may be only if nothing on the disk shows that the place was durable.
      const lost = whole[kept.length] as ModelEntry;
      expect(
        isJournal && position < lost.end + 64 && journal.stagedPosition >= (kept.at(-1)?.end ?? 0),
        () => `flip at position ${position} lost entry ${lost.position} of ${path}`,
      );
      const proof = whole.find((entry) => fieldsOf(entry.bytes).syncedPosition > lost.position);
      expect(
        proof === undefined,
        () =>
          `flip at ${position} was taken for a torn tail, but entry ${proof?.position} proves it was durable`,
      );
      return;
    }
    for (const partition of this.partitions) {
      const got = readPartition(opened, partition, random);
      if (got !== undefined)
        compareReads(
          got,
          kept.filter((entry) => isOf(entry, partition)),
        );
      else {
        expect(isJournal, () => `flip in ${path} at ${at} is damage of the journal for the reader`);
        this.result.damages++;
      }
    }
  }
}

/** What a copy recovers that nobody damaged; undefined when it is quarantined. */
function openIntact(world: OpenWorld): { count: number } | undefined {
  try {
    const { recorder } = openJournal(world);
    const state = recorder.state;
    const from = state === undefined ? 0 : Number(Buffer.from(state).readBigUInt64BE(0));
    return { count: from + recorder.entries.length };
  } catch (error) {
    if (error instanceof MillraceError && error.code === "JOURNAL_QUARANTINED") return undefined;
    throw error;
  }
}
