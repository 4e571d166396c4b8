import type { Journal } from "@millrace/journal";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { BatchBuilder } from "@millrace/protocol/internal";
import { Packr } from "msgpackr";
import type { Topic, TopicConfig } from "../topic.ts";
import { CATALOG_TOPIC_ID } from "./catalog-state.ts";
import type { Clock } from "./clock.ts";
import type { Partition } from "./partition.ts";
import type { ShardState, StateChange } from "./shard-state.ts";

const packr = new Packr({ useRecords: false });

/** Bounds for one record of `$catalog`: a name, and 1024 placements of at most 5 bytes. */
const CATALOG_BATCH_BYTES = 16 * 1024;

/** An answer must fit into a record of the outbound ring: topics without their placement, and shard ids in it. */
const CATALOG_ANSWER_BYTES = 256 * 1024;
const TOPIC_BYTES_MAX = 512;
const SHARD_ID_BYTES_MAX = 3;

/** [topicId, partition, durability] */
export type PartitionOpening = readonly [number, number, number];

/** Requests a node may make of a shard: MessagePack [kind, ...arguments] in a REQUEST record. */
export interface ShardRequestMap {
  /** Bounds of some partitions: [[logStartOffset, highWatermark, logEpoch, retainedBytes], ...] in the order asked. */
  bounds: {
    args: [topicId: number, partitions: readonly number[]];
    reply: [number, number, number, number][];
  };
  /** The first offset appended at or after a time, the high watermark if there is none; the reader replies. */
  time: { args: [topicId: number, partition: number, timeMs: number]; reply: number };
  /** Shard 0: topics from the given number on, as many as one answer holds; none behind the last. */
  catalog: { args: [from: number]; reply: Topic[] };
  /** Shard 0: appends the topic's record to `$catalog`; answered when that is committed. */
  createTopic: { args: [name: string, config: TopicConfig]; reply: Topic };
  deleteTopic: { args: [name: string]; reply: { topic: Topic; catalogPosition: number } };
  open: { args: [partitions: readonly PartitionOpening[]]; reply: number };
  close: { args: [topicId: number]; reply: number };
  /** At start: exactly these partitions exist (beside `$catalog`). Opens, drops, repairs; answered when durable. */
  reconcile: { args: [partitions: readonly PartitionOpening[], cleanShutdown: boolean]; reply: number };
  status: { args: []; reply: ShardStatus };
}

export interface ShardStatus {
  readonly shardId: number;
  readonly epoch: number;
  readonly partitions: number;
  readonly producers: number;
  readonly stagedPosition: number;
  readonly committedPosition: number;
}

/** What the shard lends to its requests. */
export interface RequestContext {
  readonly state: ShardState;
  readonly journal: Journal;
  readonly clock: Clock;
  reply(requestId: number, payload: Uint8Array): void;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
  stageChanges(changes: readonly StateChange[]): void;
  /** The answer to the request will be given by the reader thread. */
  findTime(partition: Partition, requestId: number, timeMs: number): void;
}

type Done<K extends keyof ShardRequestMap> = (reply: ShardRequestMap[K]["reply"]) => void;

/**
 * The control plane of a shard: everything that is not publishing or reading. Shard thread only; answers are
 * MessagePack, [0, value] or [error number, message, details].
 */
export class ShardRequests {
  readonly #shardId: number;
  readonly #shardCount: number;
  readonly #context: RequestContext;
  readonly #batch: BatchBuilder = new BatchBuilder(CATALOG_BATCH_BYTES);

  constructor(shardId: number, shardCount: number, context: RequestContext) {
    this.#shardId = shardId;
    this.#shardCount = shardCount;
    this.#context = context;
  }

  handle(requestId: number, payload: Uint8Array): void {
    const answer = (value: unknown): void => this.#context.reply(requestId, packr.pack([0, value]));
    try {
      this.#dispatch(requestId, packr.unpack(payload) as [keyof ShardRequestMap, ...unknown[]], answer);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      const refusal = [ERROR_CODES[error.code].code, error.message, error.details];
      this.#context.reply(requestId, packr.pack(refusal));
    }
  }

  #dispatch(
    requestId: number,
    request: [keyof ShardRequestMap, ...unknown[]],
    answer: (value: unknown) => void,
  ): void {
    const [kind, ...args] = request;
    switch (kind) {
      case "bounds":
        this.#bounds(args as ShardRequestMap["bounds"]["args"], answer);
        break;
      case "time": {
        const [topicId, partition, timeMs] = args as ShardRequestMap["time"]["args"];
        this.#context.findTime(this.#partition(topicId, partition), requestId, timeMs);
        break;
      }
      case "catalog":
        this.#catalog(args as ShardRequestMap["catalog"]["args"], answer);
        break;
      case "createTopic":
        this.#createTopic(args as ShardRequestMap["createTopic"]["args"], answer);
        break;
      case "deleteTopic":
        this.#deleteTopic(args as ShardRequestMap["deleteTopic"]["args"], answer);
        break;
      case "open":
        this.#open(args as ShardRequestMap["open"]["args"], answer);
        break;
      case "close":
        this.#close(args as ShardRequestMap["close"]["args"], answer);
        break;
      case "reconcile":
        this.#reconcile(args as ShardRequestMap["reconcile"]["args"], answer);
        break;
      case "status":
        this.#status(answer);
        break;
      default:
        throw new Error(`unknown shard request: ${String(kind)}`);
    }
  }

  #bounds([topicId, partitions]: ShardRequestMap["bounds"]["args"], done: Done<"bounds">): void {
    done(
      partitions.map((partition) => {
        const p = this.#partition(topicId, partition);
        return [p.logStartOffset, p.highWatermark, p.logEpoch, p.retainedBytes];
      }),
    );
  }

  #catalog([from]: ShardRequestMap["catalog"]["args"], done: Done<"catalog">): void {
    const page: Topic[] = [];
    let bytes = 0;
    for (const topic of this.#context.state.catalog.topics().slice(from)) {
      bytes += TOPIC_BYTES_MAX + topic.shards.length * SHARD_ID_BYTES_MAX;
      if (page.length > 0 && bytes > CATALOG_ANSWER_BYTES) break;
      page.push(topic);
    }
    done(page);
  }

  #createTopic([name, config]: ShardRequestMap["createTopic"]["args"], done: Done<"createTopic">): void {
    const catalog = this.#context.state.catalog;
    const topic = catalog.plan(
      name,
      config,
      this.#context.clock.wallMs(),
      this.#catalogPartition().nextOffset,
    );
    const value = catalog.encode(topic);
    this.#appendCatalogRecord(name, value);
    catalog.apply(name, value, topic.catalogPosition);
    this.#context.afterCommit(() => done(topic));
  }

  #deleteTopic([name]: ShardRequestMap["deleteTopic"]["args"], done: Done<"deleteTopic">): void {
    const catalog = this.#context.state.catalog;
    const topic = catalog.get(name);
    if (topic === undefined) {
      throw new MillraceError("UNKNOWN_TOPIC", `no such topic: ${name}`, { details: { topic: name } });
    }
    const catalogPosition = this.#catalogPartition().nextOffset;
    const deleted = new Uint8Array(0);
    this.#appendCatalogRecord(name, deleted);
    catalog.apply(name, deleted, catalogPosition);
    this.#context.afterCommit(() => done({ topic, catalogPosition }));
  }

  #open([partitions]: ShardRequestMap["open"]["args"], done: Done<"open">): void {
    for (const [topicId, partition, durability] of partitions) {
      this.#context.state.open(topicId, partition, durability);
    }
    done(partitions.length);
  }

  #close([topicId]: ShardRequestMap["close"]["args"], done: Done<"close">): void {
    const { state, journal } = this.#context;
    let closed = 0;
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId !== topicId) continue;
      state.close(partition);
      closed += 1;
    }
    journal.index.dropTopic(topicId);
    done(closed);
  }

  #reconcile(args: ShardRequestMap["reconcile"]["args"], done: Done<"reconcile">): void {
    const [partitions, cleanShutdown] = args;
    const { state, journal } = this.#context;
    const wanted = new Set(partitions.map(([topicId, partition]) => `${topicId}/${partition}`));
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId === CATALOG_TOPIC_ID) continue;
      if (wanted.has(`${partition.topicId}/${partition.partition}`)) continue;
      state.close(partition);
      journal.index.dropTopic(partition.topicId);
    }
    const changes: StateChange[] = [];
    for (const [topicId, partitionNumber, durability] of partitions) {
      const partition = state.open(topicId, partitionNumber, durability);
      if (cleanShutdown || partition.reservedUntil === 0) continue;
      // Records that were acknowledged or seen before they were durable can be gone: their offsets are not
      // given out again, and readers learn of the gap from the log epoch.
      const nextOffset = Math.max(partition.nextOffset, partition.reservedUntil);
      const change: StateChange = ["epoch", topicId, partitionNumber, partition.logEpoch + 1, nextOffset];
      changes.push(change);
      state.applyChange(change);
      partition.highWatermark = nextOffset;
    }
    if (changes.length === 0) {
      done(partitions.length);
      return;
    }
    this.#context.stageChanges(changes);
    this.#context.afterCommit(() => done(partitions.length));
  }

  #status(done: Done<"status">): void {
    const { state, journal } = this.#context;
    done({
      shardId: this.#shardId,
      epoch: journal.epoch,
      partitions: state.partitions.size,
      producers: state.producers.count,
      stagedPosition: journal.stagedPosition,
      committedPosition: journal.committedPosition(),
    });
  }

  #partition(topicId: number, partition: number): Partition {
    const found = this.#context.state.find(topicId, partition);
    if (found === undefined) {
      throw new MillraceError(
        "UNKNOWN_PARTITION",
        `no such partition: topicId=${topicId} partition=${partition}`,
        {
          details: { topicId, partition },
        },
      );
    }
    return found;
  }

  #catalogPartition(): Partition {
    const partition = this.#context.state.find(CATALOG_TOPIC_ID, 0);
    if (partition === undefined) {
      throw new MillraceError(
        "INTERNAL",
        `shard ${this.#shardId} of ${this.#shardCount} does not hold the catalog`,
      );
    }
    return partition;
  }

  /** Appends one record to `$catalog` like any published batch, from private memory. */
  #appendCatalogRecord(name: string, value: Uint8Array): void {
    const { journal, clock } = this.#context;
    if (journal.isFull)
      throw new MillraceError("DISK_FULL", "the disk is full: the catalog cannot be changed");
    const partition = this.#catalogPartition();
    const batch = this.#batch;
    batch.reset();
    if (!batch.append({ key: name, value })) {
      throw new MillraceError("INTERNAL", `catalog record too large: topic=${name} bytes=${value.length}`);
    }
    const timeMs = Math.max(clock.wallMs(), partition.lastTimeMs);
    journal.stageBatch(CATALOG_TOPIC_ID, 0, partition.nextOffset, 1, timeMs, batch.finish());
    partition.nextOffset += 1;
    partition.lastTimeMs = timeMs;
    this.#context.afterCommit(() => {
      partition.highWatermark += 1;
    });
  }
}
