import { MillraceError, type RestorePoint } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { offsetOutOfRange } from "../offset-out-of-range.ts";
import type { Topic, TopicChanges, TopicConfig } from "../topic.ts";
import { unknownTopic } from "./catalog-state.ts";
import type { CatalogWriter } from "./catalog-writer.ts";
import type { Partition } from "./partition.ts";
import { type Done, knownPartition, type RequestContext, type RequestHandlers } from "./request-context.ts";
import type { TopicTraits } from "./topic-traits.ts";

/** An answer must fit into a record of the outbound ring: topics without their placement, and shard ids in it. */
const CATALOG_ANSWER_BYTES = 256 * 1024;
const TOPIC_BYTES_MAX = 512;
const SHARD_ID_BYTES_MAX = 3;

/** A partition with the settings of its topic; retentionShareBytes is its part of retentionBytes. 0 = no bound. */
export type PartitionOpening = readonly [
  topicId: number,
  partition: number,
  durability: number,
  retentionMs: number,
  retentionShareBytes: number,
];

export type BoundsRow = [
  logStartOffset: number,
  highWatermark: number,
  logEpoch: number,
  retainedBytes: number,
  /** Only where there are some. */
  restores?: readonly RestorePoint[],
];

/** Requests about topics and their partitions. */
export interface TopicRequestMap {
  /** Bounds of some partitions, in the order asked. */
  bounds: {
    args: [topicId: number, partitions: readonly number[]];
    reply: BoundsRow[];
  };
  /** The first offset appended at or after a time, the high watermark if there is none; the reader replies. */
  time: { args: [topicId: number, partition: number, timeMs: number]; reply: number };
  /** Shard 0: topics from the given number on, as many as one answer holds; none behind the last. */
  catalog: { args: [from: number]; reply: Topic[] };
  /**
   * Shard 0: the offset of the newest record of `$catalog`, -1 without one. Everything that was written before is committed,
   * and the shard was still this owner's after it was asked: who was deposed does not answer.
   */
  catalogPosition: { args: []; reply: number };
  /** Shard 0: appends the topic's record to `$catalog`; answered when that is committed. */
  createTopic: { args: [name: string, config: TopicConfig]; reply: Topic };
  /** Shard 0: as createTopic, for the dead letters of this topic, unless there is one; `created` says which. */
  createDeadLetterTopic: { args: [sourceTopicId: number]; reply: { topic: Topic; created: boolean } };
  /** Shard 0: as createTopic. What `changes` leaves out stays. */
  alterTopic: { args: [name: string, changes: TopicChanges]; reply: Topic };
  deleteTopic: { args: [name: string]; reply: { topic: Topic; catalogPosition: number } };
  open: { args: [partitions: readonly PartitionOpening[], traits?: readonly TopicTraits[]]; reply: number };
  /** The settings of these partitions changed. Those that the shard does not hold are passed over. */
  configure: {
    args: [partitions: readonly PartitionOpening[], traits?: readonly TopicTraits[]];
    reply: number;
  };
  close: { args: [topicId: number]; reply: number };
  /**
   * Gives up the records below an offset of each partition; all or none. Answered when that is durable, with the bounds
   * in the order asked.
   */
  truncate: {
    args: [topicId: number, starts: readonly (readonly [partition: number, offset: number])[]];
    reply: BoundsRow[];
  };
}

/** Answers requests about topics and their partitions. Shard thread only. */
export class TopicRequests {
  readonly handlers: RequestHandlers<TopicRequestMap> = {
    bounds: (args, done) => this.#bounds(args, done),
    time: ([topicId, partition, timeMs], _done, requestId) =>
      this.#context.findTime(this.#partition(topicId, partition), requestId, timeMs),
    catalog: (args, done) => this.#catalog(args, done),
    catalogPosition: (_args, done) => this.#catalogPosition(done),
    createTopic: (args, done) => this.#createTopic(args, done),
    createDeadLetterTopic: (args, done) => this.#createDeadLetterTopic(args, done),
    alterTopic: (args, done) => this.#alterTopic(args, done),
    deleteTopic: (args, done) => this.#deleteTopic(args, done),
    open: (args, done) => this.#open(args, done),
    configure: (args, done) => this.#configure(args, done),
    close: (args, done) => this.#close(args, done),
    truncate: (args, done) => this.#truncate(args, done),
  };
  readonly #context: RequestContext;
  readonly #writer: CatalogWriter;

  constructor(context: RequestContext, writer: CatalogWriter) {
    this.#context = context;
    this.#writer = writer;
  }

  /** Opens the partition, or gives it the settings of its topic. */
  opened([topicId, partition, durability, retentionMs, retentionBytes]: PartitionOpening): Partition {
    const { state, journal } = this.#context;
    const opened = state.find(topicId, partition) ?? state.open(topicId, partition, durability);
    opened.configure(durability, retentionMs, retentionBytes, journal.stagedPosition);
    return opened;
  }

  #bounds(
    [topicId, partitions]: TopicRequestMap["bounds"]["args"],
    done: Done<TopicRequestMap["bounds"]["reply"]>,
  ): void {
    done(partitions.map((partition) => this.#boundsRow(this.#partition(topicId, partition))));
  }

  #boundsRow({
    topicId,
    partition,
    logStartOffset,
    highWatermark,
    logEpoch,
    restores,
  }: Partition): BoundsRow {
    const retainedBytes = this.#context.journal.retainedBytes(topicId, partition);
    const row: BoundsRow = [logStartOffset, highWatermark, logEpoch, retainedBytes];
    if (restores.length > 0) row.push(restores);
    return row;
  }

  #catalog(
    [from]: TopicRequestMap["catalog"]["args"],
    done: Done<TopicRequestMap["catalog"]["reply"]>,
  ): void {
    const page: Topic[] = [];
    let bytes = 0;
    for (const topic of this.#context.state.catalog.topics().slice(from)) {
      bytes += TOPIC_BYTES_MAX + topic.shards.length * SHARD_ID_BYTES_MAX;
      if (page.length > 0 && bytes > CATALOG_ANSWER_BYTES) break;
      page.push(topic);
    }
    done(page);
  }

  #catalogPosition(done: Done<number>): void {
    const position = this.#writer.position - 1;
    const { journal, stageChanges, afterCommit } = this.#context;
    if (journal.isFull) {
      throw new MillraceError("DISK_FULL", "the disk is full: the catalog's position cannot be confirmed", {
        details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
      });
    }
    // Nothing, so that there is something to sync: the look at the fence comes with that.
    stageChanges([]);
    afterCommit(() => done(position));
  }

  #createTopic([name, config]: TopicRequestMap["createTopic"]["args"], done: Done<Topic>): void {
    const writer = this.#writer;
    writer.assertRoom("topic");
    const { catalog } = this.#context.state;
    catalog.startIdsAt(writer.partition.logEpoch);
    this.#write(catalog.plan(name, config, this.#context.clock.wallMs(), writer.position), done);
  }

  #createDeadLetterTopic(
    [sourceTopicId]: TopicRequestMap["createDeadLetterTopic"]["args"],
    done: Done<{ topic: Topic; created: boolean }>,
  ): void {
    const writer = this.#writer;
    const { catalog } = this.#context.state;
    const found = catalog.deadLetterTopicOf(sourceTopicId);
    if (found !== undefined) {
      // It may have been made a moment ago.
      this.#context.afterCommit(() => done({ topic: found, created: false }));
      return;
    }
    writer.assertRoom("topic");
    catalog.startIdsAt(writer.partition.logEpoch);
    const topic = catalog.planDeadLetters(sourceTopicId, this.#context.clock.wallMs(), writer.position);
    this.#write(topic, () => done({ topic, created: true }));
  }

  #alterTopic([name, changes]: TopicRequestMap["alterTopic"]["args"], done: Done<Topic>): void {
    this.#write(this.#context.state.catalog.planChange(name, changes, this.#writer.position), done);
  }

  #write(topic: Topic, done: Done<Topic>): void {
    this.#writer.write(topic.name, this.#context.state.catalog.encode(topic), () => done(topic));
  }

  #deleteTopic(
    [name]: TopicRequestMap["deleteTopic"]["args"],
    done: Done<{ topic: Topic; catalogPosition: number }>,
  ): void {
    const topic = this.#context.state.catalog.get(name);
    if (topic === undefined) throw unknownTopic(name);
    const catalogPosition = this.#writer.position;
    this.#writer.write(name, new Uint8Array(0), () => done({ topic, catalogPosition }));
  }

  #open([partitions, traits = []]: TopicRequestMap["open"]["args"], done: Done<number>): void {
    for (const opening of partitions) this.opened(opening);
    this.#context.state.setTraits(traits);
    this.#changed(partitions);
    done(partitions.length);
  }

  #configure(
    [partitions, traits = []]: TopicRequestMap["configure"]["args"],
    done: Done<TopicRequestMap["configure"]["reply"]>,
  ): void {
    let configured = 0;
    for (const opening of partitions) {
      // Deleted meanwhile.
      if (this.#context.state.find(opening[0], opening[1]) === undefined) continue;
      this.opened(opening);
      configured += 1;
    }
    this.#context.state.setTraits(traits);
    this.#changed(partitions);
    done(configured);
  }

  #changed(partitions: readonly PartitionOpening[]): void {
    for (const topicId of new Set(partitions.map(([id]) => id))) this.#context.upkeep.changed(topicId, false);
  }

  #truncate(
    [topicId, starts]: TopicRequestMap["truncate"]["args"],
    done: Done<TopicRequestMap["truncate"]["reply"]>,
  ): void {
    const moves = starts.map(([number, offset]) => {
      const partition = this.#partition(topicId, number);
      if (offset > partition.highWatermark) throw offsetOutOfRange(topicId, partition, offset);
      return { partition, offset };
    });
    this.#context.logStarts.move(moves, () => {
      this.#context.upkeep.changed(topicId, true);
      done(moves.map(({ partition }) => this.#boundsRow(partition)));
    });
  }

  #close([topicId]: TopicRequestMap["close"]["args"], done: Done<TopicRequestMap["close"]["reply"]>): void {
    const { state, journal, dispatcher } = this.#context;
    let closed = 0;
    for (const subscriptionId of state.subscriptions.ofTopic(topicId)) dispatcher.close(subscriptionId);
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId !== topicId) continue;
      dispatcher.closePartition(partition);
      state.close(partition);
      closed += 1;
    }
    state.forgetTraits(topicId);
    journal.index.dropTopic(topicId);
    this.#context.upkeep.changed(topicId, true);
    done(closed);
  }

  #partition(topicId: number, partition: number): Partition {
    return knownPartition(this.#context.state, topicId, partition);
  }
}
