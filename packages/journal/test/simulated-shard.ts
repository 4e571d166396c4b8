import { writeU64 } from "@millrace/protocol/internal";
import {
  ENTRY_BATCH_CRC_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_STATE,
  type Journal,
  type SettlingOwner,
  writeEntryFields,
} from "../src/internal.ts";
import { expect, headerlessBytes, type ModelEntry, type ModelPartition } from "./journal-model.ts";
import { type Change, ModelState } from "./model-state.ts";
import { batchPayload, EntryRing, fieldsOf, type OpenedJournal, type OpenWorld } from "./simulated-world.ts";

const RING_BYTES = 96 * 1024;
const FIRST_TIME = 1_700_000_000_000;

/**
 * What a shard does with its journal, and the memory of it: every entry that was staged and survived. It outlives the
 * lives of the journal.
 */
export class SimulatedShard {
  /** Entries that exist, in order. */
  model: readonly ModelEntry[] = [];
  /** Partitions that batches are staged for. */
  partitions: ModelPartition[] = [];
  /** The highest committed position that the journal reported. */
  floor = 0;

  private readonly world: OpenWorld;
  private readonly payloadMax: number;
  private readonly ring = new EntryRing(RING_BYTES);
  private nextTopicId = 0;
  private lastTime = FIRST_TIME;
  /** Deletions whose commit the index has not been told of. */
  private dropping: { readonly topicId: number; readonly end: number }[] = [];
  private committed:
    | { readonly entries: number; readonly floor: number; readonly state: ModelState }
    | undefined;

  constructor(world: OpenWorld, payloadMax: number = world.random.pick([40, 300, 3000])) {
    this.world = world;
    this.payloadMax = payloadMax;
  }

  /** As the entries that are committed make it. */
  committedState(): ModelState {
    const entries = this.model.length;
    if (this.committed?.entries !== entries || this.committed.floor !== this.floor) {
      this.committed = { entries, floor: this.floor, state: ModelState.at(this.model, this.floor) };
    }
    return this.committed.state;
  }

  /** Append time of the newest entry. */
  get newestTime(): number {
    return this.lastTime;
  }

  /** A time at which some of the entries may have expired. */
  someTime(): number {
    return this.lastTime + this.world.random.below(500);
  }

  /** The journal was opened and ends at `position`: what it had beyond that is gone. */
  recovered(journal: Journal, entries: readonly ModelEntry[], position: number): void {
    this.ring.release();
    this.model = entries;
    this.floor = position;
    this.dropping = [];
    for (const { bytes } of entries) {
      if (bytes.readInt32LE(4) === ENTRY_TYPE_BATCH)
        this.lastTime = Math.max(this.lastTime, fieldsOf(bytes).appendTime);
    }
    const state = this.committedState();
    for (const topicId of state.deleted) journal.index.dropTopic(topicId);
    for (const topicId of [...state.topics.keys(), ...state.deleted]) {
      this.nextTopicId = Math.max(this.nextTopicId, topicId + 1);
    }
    this.partitions = state
      .partitions()
      .map(({ topicId, partition }) => ({ topicId, partition, nextOffset: 0, lastTime: this.lastTime }));
    for (const entry of this.model) {
      if (entry.bytes.readInt32LE(4) !== ENTRY_TYPE_BATCH) continue;
      const { topicId, partition, baseOffset, count } = fieldsOf(entry.bytes);
      const found = this.find(topicId, partition);
      if (found !== undefined) found.nextOffset = baseOffset + count;
    }
  }

  /** The journal reports this as committed. */
  noteCommitted(journal: Journal, position: number): void {
    this.floor = position;
    while (this.dropping.length > 0 && (this.dropping[0] as { end: number }).end <= position) {
      journal.index.dropTopic((this.dropping.shift() as { topicId: number }).topicId);
    }
  }

  /** Whatever flush answered, the ring is its owner's again. */
  releaseRing(): void {
    this.ring.release();
  }

  /** Stages a batch of this partition; or of any, or a change of state. `flush` makes room in the ring. */
  stage(opened: OpenedJournal, flush: () => void, given?: ModelPartition): void {
    const { journal } = opened;
    const { random } = this.world;
    if (this.partitions.length === 0) {
      this.createTopic(journal);
      return;
    }
    if (journal.isFull || (given === undefined && random.chance(0.12))) {
      if (!journal.isFull || random.chance(0.2)) this.stageChanges(journal, []);
      return;
    }
    const partition = given ?? random.pick(this.partitions);
    const count = 1 + random.below(5);
    const payload = batchPayload(random, random.below(this.payloadMax));
    const time = Math.max(partition.lastTime, partition.lastTime + random.below(50) - 20);
    const { topicId, nextOffset } = partition;
    if (random.chance(0.1)) {
      const position = journal.stageBatch(topicId, partition.partition, nextOffset, count, time, payload);
      this.remember(
        position,
        headerlessBytes(payload, topicId, partition.partition, nextOffset, count, time),
        [],
      );
    } else {
      const length = ENTRY_HEADER_BYTES + payload.length;
      let index = this.ring.claim(length, random.chance(0.2) ? 1 + random.below(9) : 0);
      if (index < 0) {
        flush();
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
      this.remember(position, Buffer.from(bytes.subarray(index, index + length)), []);
    }
    // An offset may be skipped, as after an unclean stop.
    partition.nextOffset += count + (random.chance(0.05) ? random.below(1000) : 0);
    partition.lastTime = time;
    this.lastTime = Math.max(this.lastTime, time);
  }

  /** Stages one STATE entry. @returns where it ends */
  stageChanges(journal: Journal, changes: readonly Change[]): number {
    const payload = Buffer.alloc(this.world.random.below(200), 7);
    const position = journal.stageState(payload);
    const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + payload.length);
    bytes.writeInt32LE(bytes.length, 0);
    bytes.writeInt32LE(ENTRY_TYPE_STATE, 4);
    payload.copy(bytes, ENTRY_HEADER_BYTES);
    return this.remember(position, bytes, changes);
  }

  /** Moves the start of some log. */
  truncate(journal: Journal): void {
    const { random } = this.world;
    if (this.partitions.length === 0) return;
    const { topicId, partition, nextOffset } = random.pick(this.partitions);
    this.stageChanges(journal, [["start", topicId, partition, random.below(nextOffset + 1)]]);
  }

  deleteTopic(journal: Journal, topicId: number | undefined = this.partitions[0]?.topicId): void {
    if (topicId === undefined) return;
    const end = this.stageChanges(journal, [["delete", topicId]]);
    this.partitions = this.partitions.filter((each) => each.topicId !== topicId);
    this.dropping.push({ topicId, end });
  }

  /** @param retentionMs 0 = for ever */
  createTopic(
    journal: Journal,
    count: number = 1 + this.world.random.below(4),
    retentionMs: number = this.world.random.pick([0, 200, 2000]),
  ): void {
    const topicId = this.nextTopicId;
    this.nextTopicId++;
    this.stageChanges(journal, [["create", topicId, count, retentionMs]]);
    for (let partition = 0; partition < count; partition++) {
      this.partitions.push({ topicId, partition, nextOffset: 0, lastTime: this.lastTime });
    }
  }

  /** Ends the segment, as an owner does whose topics are quiet. */
  roll(journal: Journal): void {
    journal.roll();
    this.stageChanges(journal, []);
  }

  find(topicId: number, partition: number): ModelPartition | undefined {
    return this.partitions.find((each) => each.topicId === topicId && each.partition === partition);
  }

  /** A checkpoint's state says how many entries made it. */
  encodeState(): Uint8Array {
    const state = new Uint8Array(16 + this.world.random.below(500));
    writeU64(state, 0, this.model.length);
    writeU64(state, 8, this.model.at(-1)?.end ?? 0);
    return state;
  }

  private remember(position: number, bytes: Buffer, changes: readonly Change[]): number {
    const last = this.model.at(-1);
    expect(last === undefined || position >= last.end, () => `position ${position} went back`);
    const end = position + ((bytes.length + 7) & -8);
    (this.model as ModelEntry[]).push({ position, end, bytes, changes });
    return end;
  }
}

/** Who owns the journal in one life. */
export class SimulatedOwner implements SettlingOwner {
  private readonly shard: SimulatedShard;
  /** What it knew when it was replaced. */
  private last: Float64Array | undefined;

  constructor(shard: SimulatedShard) {
    this.shard = shard;
  }

  settleRows(): Float64Array {
    return this.last ?? this.shard.committedState().settleRows();
  }

  /** It lives on without learning anything. */
  replaced(): void {
    this.last = this.shard.committedState().settleRows();
  }
}
