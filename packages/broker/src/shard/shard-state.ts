import { MillraceError, RESTORES_MAX, type RestorePoint } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { DURABILITY_FSYNCED } from "../topic.ts";
import { CATALOG_TOPIC_ID, type CatalogImage, CatalogState, type OldCatalogImage } from "./catalog-state.ts";
import type { Clock } from "./clock.ts";
import { Partition, partitionKey } from "./partition.ts";
import { ProducerState, ProducerTable } from "./producer-table.ts";
import type { SubscriptionChange } from "./subscription-changes.ts";
import { encodeSubscriptions, restoreSubscriptions, type SubscriptionImage } from "./subscription-image.ts";
import { type QueuePart, SubscriptionTable } from "./subscription-table.ts";
import { NO_TAIL_GROUPS } from "./tail-group.ts";
import { OVERFLOW_NONE, type TopicTraits } from "./topic-traits.ts";

const packr = new Packr({ useRecords: false });

/** 1: without subscriptions, and the catalog's topics one by one. */
const CHECKPOINT_VERSION = 2;
const PRODUCER_FIELDS = 7;
/** Positions of subscriptions that are written in advance in one duty cycle. */
const PREPARED_POSITIONS = 256;

interface CheckpointImage {
  version: number;
  /**
   * [topicId, partition, durability, logStartOffset, nextOffset, logEpoch, lastTimeMs, reservedUntil, ...restores] each, a restore
   * being two numbers.
   */
  partitions: number[][];
  /** Float64 columns as bytes: topicId, partition, producerId, epoch, nextSequence, lastActiveMs, run numbers, then the runs. */
  producers: Uint8Array;
  catalog: CatalogImage | OldCatalogImage;
  /** Absent in version 1. */
  subscriptions?: SubscriptionImage;
}

/** A change of state in a STATE entry of the journal; all changes of one entry apply together. */
export type StateChange = PartitionChange | SubscriptionChange;

type PartitionChange =
  /** Offsets below `until` may be given out without another sync (topics weaker than fsynced). */
  | readonly ["reserve", topicId: number, partition: number, until: number]
  /**
   * After an unclean stop or a restore: records that somebody may have seen can be gone; go on at nextOffset. `endOffset`, after
   * a restore alone: where the records of the backup end.
   */
  | readonly [
      "epoch",
      topicId: number,
      partition: number,
      logEpoch: number,
      nextOffset: number,
      endOffset?: number,
    ]
  /** Records below logStartOffset are gone. */
  | readonly ["start", topicId: number, partition: number, logStartOffset: number];

/**
 * Everything a shard knows apart from what is in flight: its partitions, their producers, and on shard 0 the
 * catalog. Rebuilt from a checkpoint and the entries behind it.
 */
export class ShardState {
  readonly partitions: Map<number, Partition> = new Map();
  readonly producers: ProducerTable = new ProducerTable();
  readonly catalog: CatalogState;
  readonly subscriptions: SubscriptionTable;
  readonly #clock: Clock;
  readonly #byTopic: Map<number, Set<Partition>> = new Map();
  /** Topics that retain until acknowledged: OVERFLOW_REFUSE or OVERFLOW_DEAD_LETTER. Known from reconciliation on, as the next. */
  readonly overflows: Map<number, number> = new Map();
  /** Where the dead letters of a topic go: another topic's id. */
  readonly deadLetterTopics: Map<number, number> = new Map();

  constructor(shardId: number, shardCount: number, clock: Clock) {
    this.#clock = clock;
    this.catalog = new CatalogState(shardCount);
    this.subscriptions = new SubscriptionTable(clock, (topicId, partition) =>
      this.replayed(topicId, partition),
    );
    if (shardId === 0) this.open(CATALOG_TOPIC_ID, 0, DURABILITY_FSYNCED);
  }

  find(topicId: number, partition: number): Partition | undefined {
    return this.partitions.get(partitionKey(topicId, partition));
  }

  /** The shard's partitions of a topic. */
  ofTopic(topicId: number): Iterable<Partition> {
    return this.#byTopic.get(topicId) ?? [];
  }

  open(topicId: number, partition: number, durability: number): Partition {
    const key = partitionKey(topicId, partition);
    let found = this.partitions.get(key);
    if (found === undefined) {
      found = new Partition(topicId, partition, durability);
      this.partitions.set(key, found);
      const ofTopic = this.#byTopic.get(topicId);
      if (ofTopic === undefined) this.#byTopic.set(topicId, new Set([found]));
      else ofTopic.add(found);
    }
    found.durability = durability;
    return found;
  }

  /**
   * The partition that a journal entry speaks of. Opening a partition is not journaled (the catalog is what
   * counts), so its first entry brings it back; reconciliation drops it again if the topic was deleted.
   */
  replayed(topicId: number, partition: number): Partition {
    return this.find(topicId, partition) ?? this.open(topicId, partition, DURABILITY_FSYNCED);
  }

  /** What is special about topics whose partitions are open. */
  setTraits(traits: readonly TopicTraits[]): void {
    for (const [topicId, overflow, deadLetterOf] of traits) {
      if (overflow === OVERFLOW_NONE) this.overflows.delete(topicId);
      else this.overflows.set(topicId, overflow);
      if (deadLetterOf !== 0) this.deadLetterTopics.set(deadLetterOf, topicId);
    }
  }

  /** The queues that have to finish the partition's records before these may go; none where its bounds alone count. */
  finishersOf(partition: Partition): QueuePart[] {
    if (!this.overflows.has(partition.topicId)) return [];
    return [...(this.subscriptions.queuesOf(partition) ?? [])].filter(({ state }) => !state.selected);
  }

  /** What setTraits has said of a topic that was deleted. */
  forgetTraits(topicId: number): void {
    this.overflows.delete(topicId);
    for (const [source, deadLetters] of this.deadLetterTopics) {
      if (deadLetters === topicId) this.deadLetterTopics.delete(source);
    }
  }

  close(partition: Partition): void {
    partition.deleted = true;
    // What is still in flight raises the high watermark when it commits: nobody is at the tail any more.
    partition.tailGroups = NO_TAIL_GROUPS;
    partition.tail.clear();
    partition.fetched?.clear();
    this.producers.removed(partition.producers.size);
    partition.producers.clear();
    this.subscriptions.closePartition(partition);
    this.partitions.delete(partitionKey(partition.topicId, partition.partition));
    const ofTopic = this.#byTopic.get(partition.topicId);
    ofTopic?.delete(partition);
    if (ofTopic?.size === 0) this.#byTopic.delete(partition.topicId);
  }

  /** A batch was appended: the producer's sequence moves on. Creates the producer's state when it is new. */
  recordProducer(
    partition: Partition,
    producerId: number,
    epoch: number,
    baseSequence: number,
    count: number,
    baseOffset: number,
    nowMs: number,
  ): void {
    let producer = partition.producers.get(producerId);
    if (producer === undefined) {
      if (this.producers.isFull) this.producers.sweep([...this.partitions.values()], nowMs);
      producer = new ProducerState(producerId, epoch, baseSequence, nowMs);
      partition.addProducer(producer);
      this.producers.added();
    }
    producer.record(epoch, baseSequence, count, baseOffset, nowMs);
  }

  applyChange(change: StateChange): void {
    switch (change[0]) {
      case "reserve":
      case "epoch":
      case "start":
        this.#applyToPartition(change);
        break;
      case "subscribe":
      case "unsubscribe":
      case "acks":
      case "retries":
      case "dead":
      case "redrive":
      case "cursor":
      case "seek":
      case "snapshot":
      case "return":
        this.subscriptions.apply(change);
        break;
      default:
        throw new MillraceError("DATA_FORMAT_NEWER", `unknown change of state: ${String(change[0])}`);
    }
  }

  #applyToPartition(change: PartitionChange): void {
    const partition = this.replayed(change[1], change[2]);
    switch (change[0]) {
      case "reserve":
        partition.reservedUntil = partition.reservationStaged = change[3];
        break;
      case "epoch":
        partition.logEpoch = change[3];
        partition.nextOffset = change[4];
        if (change[5] !== undefined) addRestore(partition, [change[3], change[5]]);
        break;
      case "start":
        partition.logStartOffset = partition.logStartStaged = change[3];
        break;
    }
  }

  /** These changes were staged: what they change may have changed already. */
  staged(changes: readonly StateChange[]): void {
    for (const change of changes) {
      const kind = change[0];
      if (kind === "acks" || kind === "retries" || kind === "dead") this.subscriptions.staged(change);
    }
  }

  /** A checkpoint is to be taken soon: does a part of its work. */
  prepareCheckpoint(): void {
    this.subscriptions.image.prepare(PREPARED_POSITIONS);
  }

  encode(): Uint8Array {
    const partitions: number[][] = [];
    let producerNumbers = 0;
    for (const p of this.partitions.values()) {
      // Replay begins behind the checkpoint, and it counts only once what is staged before it is durable.
      partitions.push([
        p.topicId,
        p.partition,
        p.durability,
        p.logStartStaged,
        p.nextOffset,
        p.logEpoch,
        p.lastTimeMs,
        p.reservationStaged,
        ...p.restores.flat(),
      ]);
      for (const producer of p.producers.values()) producerNumbers += PRODUCER_FIELDS + producer.runs.length;
    }
    const producers = new Float64Array(producerNumbers);
    let at = 0;
    for (const p of this.partitions.values()) {
      for (const producer of p.producers.values()) {
        producers[at] = p.topicId;
        producers[at + 1] = p.partition;
        producers[at + 2] = producer.producerId;
        producers[at + 3] = producer.epoch;
        producers[at + 4] = producer.nextSequence;
        producers[at + 5] = producer.lastActiveMs;
        producers[at + 6] = producer.runs.length;
        producers.set(producer.runs, at + PRODUCER_FIELDS);
        at += PRODUCER_FIELDS + producer.runs.length;
      }
    }
    const image: CheckpointImage = {
      version: CHECKPOINT_VERSION,
      partitions,
      producers: new Uint8Array(producers.buffer),
      catalog: this.catalog.snapshot(),
      subscriptions: encodeSubscriptions(this.subscriptions),
    };
    return packr.pack(image);
  }

  restore(bytes: Uint8Array): void {
    const image = packr.unpack(bytes) as CheckpointImage;
    if (image.version !== 1 && image.version !== CHECKPOINT_VERSION) {
      throw new MillraceError(
        "DATA_FORMAT_NEWER",
        `checkpoint has an unknown version: version=${image.version} known=${CHECKPOINT_VERSION}`,
      );
    }
    for (const row of image.partitions) {
      const [
        topicId,
        partition,
        durability,
        logStart,
        nextOffset,
        logEpoch,
        lastTimeMs,
        reserved,
        ...restores
      ] = row as [number, number, number, number, number, number, number, number, ...number[]];
      const p = this.open(topicId, partition, durability);
      p.logStartOffset = p.logStartStaged = logStart;
      p.nextOffset = nextOffset;
      p.logEpoch = logEpoch;
      p.lastTimeMs = lastTimeMs;
      p.reservedUntil = p.reservationStaged = reserved;
      for (let at = 0; at + 1 < restores.length; at += 2) {
        addRestore(p, [restores[at] as number, restores[at + 1] as number]);
      }
    }
    const producers = new Float64Array(
      image.producers.buffer.slice(
        image.producers.byteOffset,
        image.producers.byteOffset + image.producers.byteLength,
      ),
    );
    for (let at = 0; at < producers.length; ) {
      const field = (index: number): number => producers[at + index] as number;
      const p = this.find(field(0), field(1));
      const runs = field(6);
      if (p !== undefined) {
        const producer = new ProducerState(field(2), field(3), field(4), field(5));
        producer.restoreRuns(
          Array.from(producers.subarray(at + PRODUCER_FIELDS, at + PRODUCER_FIELDS + runs)),
        );
        p.addProducer(producer);
        this.producers.added();
      }
      at += PRODUCER_FIELDS + runs;
    }
    this.catalog.restore(image.catalog);
    if (image.subscriptions === undefined) return;
    restoreSubscriptions(this.subscriptions, image.subscriptions, this.#clock, (topicId, partition) =>
      this.replayed(topicId, partition),
    );
  }
}

function addRestore(partition: Partition, restore: RestorePoint): void {
  // Without the oldest a log is taken for another one than it was: readers go back further than they had to.
  partition.restores = [...partition.restores, restore].slice(-RESTORES_MAX);
}
