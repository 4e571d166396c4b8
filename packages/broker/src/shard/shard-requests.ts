import type { Journal } from "@millrace/journal";
import { ERROR_CODES, MillraceError, type RestorePoint } from "@millrace/protocol";
import { BatchBuilder } from "@millrace/protocol/internal";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import type { RefusalReason } from "../link/link-buffers.ts";
import { offsetOutOfRange } from "../offset-out-of-range.ts";
import { DURABILITY_FSYNCED, type Topic, type TopicChanges, type TopicConfig } from "../topic.ts";
import { CATALOG_TOPIC_ID, unknownTopic } from "./catalog-state.ts";
import type { Clock } from "./clock.ts";
import type { LogStarts } from "./log-starts.ts";
import type { OwnAppends } from "./own-appends.ts";
import type { Partition } from "./partition.ts";
import type { DroppedFiles } from "./retention.ts";
import type { ShardState, StateChange } from "./shard-state.ts";
import type { Upkeep } from "./upkeep.ts";

const packr = new Packr({ useRecords: false });

/** Bounds for one record of `$catalog`: a name, and 1024 placements of at most 5 bytes. */
const CATALOG_BATCH_BYTES = 16 * 1024;

/** An answer must fit into a record of the outbound ring: topics without their placement, and shard ids in it. */
const CATALOG_ANSWER_BYTES = 256 * 1024;
const TOPIC_BYTES_MAX = 512;
const SHARD_ID_BYTES_MAX = 3;

/** 2026-01-01, so that epochs after a restore stay small numbers. */
const RESTORE_ERA_MS = 1_767_225_600_000;
/** Offsets left out after a restore: those given out since the backup. As many as an index can span in a file. */
const RESTORE_OFFSETS = 2 ** 30;

/** Bytes of a PartitionOpening, at most: its header, two u32, the durability and two u64. */
const OPENING_BYTES_MAX = 1 + 2 * 5 + 1 + 2 * 9;

if (BROKER_LIMITS.partitionsTotalMax * OPENING_BYTES_MAX + 1024 > BROKER_LIMITS.inboundRingBytes / 8) {
  throw new RangeError("a record of the inbound ring must hold what reconciles a shard with every partition");
}

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

/** Requests a node may make of a shard: MessagePack [kind, ...arguments] in a REQUEST record. */
export interface ShardRequestMap {
  /** Bounds of some partitions, in the order asked. */
  bounds: {
    args: [topicId: number, partitions: readonly number[]];
    reply: BoundsRow[];
  };
  /** The first offset appended at or after a time, the high watermark if there is none; the reader replies. */
  time: { args: [topicId: number, partition: number, timeMs: number]; reply: number };
  /** Shard 0: topics from the given number on, as many as one answer holds; none behind the last. */
  catalog: { args: [from: number]; reply: Topic[] };
  /** Shard 0: appends the topic's record to `$catalog`; answered when that is committed. */
  createTopic: { args: [name: string, config: TopicConfig]; reply: Topic };
  /** Shard 0: as createTopic. What `changes` leaves out stays. */
  alterTopic: { args: [name: string, changes: TopicChanges]; reply: Topic };
  deleteTopic: { args: [name: string]; reply: { topic: Topic; catalogPosition: number } };
  open: { args: [partitions: readonly PartitionOpening[]]; reply: number };
  /** The settings of these partitions changed. Those that the shard does not hold are passed over. */
  configure: { args: [partitions: readonly PartitionOpening[]]; reply: number };
  close: { args: [topicId: number]; reply: number };
  /**
   * Gives up the records below an offset of each partition; all or none. Answered when that is durable, with the bounds
   * in the order asked.
   */
  truncate: {
    args: [topicId: number, starts: readonly (readonly [partition: number, offset: number])[]];
    reply: BoundsRow[];
  };
  /** At start: exactly these partitions exist (beside `$catalog`). Opens, drops, repairs; answered when durable. */
  reconcile: {
    args: [partitions: readonly PartitionOpening[], cleanShutdown: boolean, restored?: boolean];
    reply: number;
  };
  /** A durable position behind everything taken so far; while the disk is full, the one reached before. */
  commit: { args: []; reply: number };
  /** The oldest settled files that may be dropped before their time: [greatest append time, bytes] each. */
  oldest: { args: [limit: number]; reply: [lastTimeMs: number, sizeBytes: number][] };
  /** The volume is full: drops so many of those files. Answered when that is durable. */
  drop: { args: [files: number]; reply: DroppedFiles };
  status: { args: []; reply: ShardStatus };
}

export interface ShardStatus {
  readonly shardId: number;
  readonly epoch: number;
  readonly partitions: number;
  readonly producers: number;
  readonly stagedPosition: number;
  readonly committedPosition: number;
  /** Bytes of settled files and of the journal behind them. */
  readonly storedBytes: number;
  readonly settledFiles: number;
  /** Bytes of ended segments that are not settled. */
  readonly backlogBytes: number;
  /** Why publishes are refused, if they are. */
  readonly refusing: RefusalReason | null;
}

/** What the shard lends to its requests. */
export interface RequestContext {
  readonly state: ShardState;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logStarts: LogStarts;
  readonly ownAppends: OwnAppends;
  readonly upkeep: Upkeep;
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
      case "alterTopic":
        this.#alterTopic(args as ShardRequestMap["alterTopic"]["args"], answer);
        break;
      case "deleteTopic":
        this.#deleteTopic(args as ShardRequestMap["deleteTopic"]["args"], answer);
        break;
      case "open":
        this.#open(args as ShardRequestMap["open"]["args"], answer);
        break;
      case "configure":
        this.#configure(args as ShardRequestMap["configure"]["args"], answer);
        break;
      case "truncate":
        this.#truncate(args as ShardRequestMap["truncate"]["args"], answer);
        break;
      case "close":
        this.#close(args as ShardRequestMap["close"]["args"], answer);
        break;
      case "reconcile":
        this.#reconcile(args as ShardRequestMap["reconcile"]["args"], answer);
        break;
      case "commit":
        this.#commit(answer);
        break;
      case "oldest":
        answer(this.#context.upkeep.retention.oldest(args[0] as number));
        break;
      case "drop":
        this.#context.upkeep.retention.dropOldest(args[0] as number, answer);
        break;
      case "status":
        this.#status(answer);
        break;
      default:
        throw new Error(`unknown shard request: ${String(kind)}`);
    }
  }

  #bounds([topicId, partitions]: ShardRequestMap["bounds"]["args"], done: Done<"bounds">): void {
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
    const { journal, upkeep } = this.#context;
    // Changes and deletions go on: they are what an operator makes room with.
    if (journal.isFull || upkeep.refusal === "disk-full" || upkeep.refusal === "disk-low") {
      throw new MillraceError("DISK_FULL", "the disk is full: no topic can be created", {
        details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
      });
    }
    const catalog = this.#context.state.catalog;
    catalog.startIdsAt(this.#catalogPartition().logEpoch);
    const topic = catalog.plan(
      name,
      config,
      this.#context.clock.wallMs(),
      this.#catalogPartition().nextOffset,
    );
    this.#appendTopic(topic, done);
  }

  #alterTopic([name, changes]: ShardRequestMap["alterTopic"]["args"], done: Done<"alterTopic">): void {
    const catalog = this.#context.state.catalog;
    this.#appendTopic(catalog.planChange(name, changes, this.#catalogPartition().nextOffset), done);
  }

  #appendTopic(topic: Topic, done: (topic: Topic) => void): void {
    const catalog = this.#context.state.catalog;
    const value = catalog.encode(topic);
    this.#appendCatalogRecord(topic.name, value);
    catalog.apply(topic.name, value, topic.catalogPosition);
    this.#context.afterCommit(() => done(topic));
  }

  #deleteTopic([name]: ShardRequestMap["deleteTopic"]["args"], done: Done<"deleteTopic">): void {
    const catalog = this.#context.state.catalog;
    const topic = catalog.get(name);
    if (topic === undefined) throw unknownTopic(name);
    const catalogPosition = this.#catalogPartition().nextOffset;
    const deleted = new Uint8Array(0);
    this.#appendCatalogRecord(name, deleted);
    catalog.apply(name, deleted, catalogPosition);
    this.#context.afterCommit(() => done({ topic, catalogPosition }));
  }

  #open([partitions]: ShardRequestMap["open"]["args"], done: Done<"open">): void {
    for (const opening of partitions) this.#opened(opening);
    this.#changed(partitions);
    done(partitions.length);
  }

  #opened([topicId, partition, durability, retentionMs, retentionBytes]: PartitionOpening): Partition {
    const { state, journal } = this.#context;
    const opened = state.find(topicId, partition) ?? state.open(topicId, partition, durability);
    opened.configure(durability, retentionMs, retentionBytes, journal.stagedPosition);
    return opened;
  }

  #configure([partitions]: ShardRequestMap["configure"]["args"], done: Done<"configure">): void {
    let configured = 0;
    for (const opening of partitions) {
      // Deleted meanwhile.
      if (this.#context.state.find(opening[0], opening[1]) === undefined) continue;
      this.#opened(opening);
      configured += 1;
    }
    this.#changed(partitions);
    done(configured);
  }

  #changed(partitions: readonly PartitionOpening[]): void {
    for (const topicId of new Set(partitions.map(([id]) => id))) this.#context.upkeep.changed(topicId, false);
  }

  #truncate([topicId, starts]: ShardRequestMap["truncate"]["args"], done: Done<"truncate">): void {
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

  #close([topicId]: ShardRequestMap["close"]["args"], done: Done<"close">): void {
    const { state, journal } = this.#context;
    let closed = 0;
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId !== topicId) continue;
      state.close(partition);
      closed += 1;
    }
    journal.index.dropTopic(topicId);
    this.#context.upkeep.changed(topicId, true);
    done(closed);
  }

  #reconcile(args: ShardRequestMap["reconcile"]["args"], done: Done<"reconcile">): void {
    const [partitions, cleanShutdown, restored = false] = args;
    const { state, journal } = this.#context;
    const wanted = new Set(partitions.map(([topicId, partition]) => `${topicId}/${partition}`));
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId === CATALOG_TOPIC_ID) continue;
      if (wanted.has(`${partition.topicId}/${partition.partition}`)) continue;
      state.close(partition);
      journal.index.dropTopic(partition.topicId);
    }
    const changes: StateChange[] = [];
    if (restored && this.#shardId === 0) {
      // Topics that the restore has forgotten may still be known by their ids: new ones begin at this epoch.
      const catalog = this.#catalogPartition();
      changes.push(this.#newLife(catalog, catalog.nextOffset));
      state.applyChange(changes[0] as StateChange);
      catalog.highWatermark = catalog.nextOffset;
    }
    for (const opening of partitions) {
      const partition = this.#opened(opening);
      const { topicId, partition: partitionNumber } = partition;
      // Weaker once, and fsynced since: nothing behind what it had reserved was seen before it was durable.
      const isPast = partition.reservedUntil <= partition.nextOffset;
      const isSafe = partition.reservedUntil === 0 || (isPast && partition.durability === DURABILITY_FSYNCED);
      if (!restored && (cleanShutdown || isSafe)) continue;
      // Records that were acknowledged or seen before they were durable can be gone: their offsets are not
      // given out again, and readers learn of the gap from the log epoch.
      const nextOffset = Math.max(partition.nextOffset, partition.reservedUntil);
      const change: StateChange = restored
        ? this.#newLife(partition, nextOffset)
        : ["epoch", topicId, partitionNumber, partition.logEpoch + 1, nextOffset];
      changes.push(change);
      state.applyChange(change);
      partition.highWatermark = partition.nextOffset;
    }
    this.#context.upkeep.start();
    if (changes.length === 0) {
      done(partitions.length);
      return;
    }
    this.#context.stageChanges(changes);
    this.#context.afterCommit(() => done(partitions.length));
  }

  /**
   * After a restore. One more would not do for the log epoch: the life that was given up, or an earlier restore of the same
   * backup, may have come as far. A number of seconds is ahead of all that went up one by one.
   */
  #newLife(of: Partition, nextOffset: number): StateChange {
    const { topicId, partition } = of;
    const seconds = Math.floor((this.#context.clock.wallMs() - RESTORE_ERA_MS) / 1000);
    const logEpoch = Math.max(of.logEpoch + 1, seconds);
    return ["epoch", topicId, partition, logEpoch, nextOffset + RESTORE_OFFSETS, of.nextOffset];
  }

  #commit(done: Done<"commit">): void {
    const { journal } = this.#context;
    if (journal.isFull) done(journal.committedPosition());
    else this.#context.afterCommit(() => done(journal.committedPosition()));
  }

  #status(done: Done<"status">): void {
    const { state, journal, upkeep } = this.#context;
    done({
      shardId: this.#shardId,
      epoch: journal.epoch,
      partitions: state.partitions.size,
      producers: state.producers.count,
      stagedPosition: journal.stagedPosition,
      committedPosition: journal.committedPosition(),
      storedBytes: upkeep.retention.settledBytes + journal.stagedPosition - journal.settledPosition,
      settledFiles: journal.settledFiles.length,
      backlogBytes: journal.backlogBytes,
      refusing: upkeep.refusal ?? null,
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
    const batch = this.#batch;
    batch.reset();
    if (!batch.append({ key: name, value })) {
      throw new MillraceError("INTERNAL", `catalog record too large: topic=${name} bytes=${value.length}`);
    }
    this.#context.ownAppends.append(this.#catalogPartition(), 1, batch.finish());
  }
}
