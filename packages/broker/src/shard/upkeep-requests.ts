import { BROKER_LIMITS } from "../limits.ts";
import type { RefusalReason } from "../link/link-buffers.ts";
import { DURABILITY_FSYNCED } from "../topic.ts";
import { CATALOG_TOPIC_ID } from "./catalog-state.ts";
import type { CatalogWriter } from "./catalog-writer.ts";
import type { Partition } from "./partition.ts";
import type { Done, RequestContext, RequestHandlers } from "./request-context.ts";
import type { DroppableFile, DroppedFiles } from "./retention.ts";
import type { StateChange } from "./shard-state.ts";
import type { PartitionOpening, TopicRequests } from "./topic-requests.ts";
import type { TopicTraits } from "./topic-traits.ts";

/** 2026-01-01, so that epochs after a restore stay small numbers. */
const RESTORE_ERA_MS = 1_767_225_600_000;
/** Offsets left out after a restore: those given out since the backup. As many as an index can span in a file. */
const RESTORE_OFFSETS = 2 ** 30;

/** Bytes of a PartitionOpening, at most: its header, two u32, the durability and two u64. */
const OPENING_BYTES_MAX = 1 + 2 * 5 + 1 + 2 * 9;
/** Bytes of a TopicTraits, at most: its header, two u32 and the overflow. */
const TRAITS_BYTES_MAX = 1 + 2 * 5 + 1;
const RECONCILE_BYTES_MAX =
  BROKER_LIMITS.partitionsTotalMax * OPENING_BYTES_MAX + BROKER_LIMITS.topicsMax * TRAITS_BYTES_MAX + 1024;

if (RECONCILE_BYTES_MAX > BROKER_LIMITS.inboundRingBytes / 8) {
  throw new RangeError("a record of the inbound ring must hold what reconciles a shard with every partition");
}

/** Requests about the shard as a whole. */
export interface UpkeepRequestMap {
  /** At start: exactly these partitions exist (beside `$catalog`). Opens, drops, repairs; answered when durable. */
  reconcile: {
    args: [
      partitions: readonly PartitionOpening[],
      cleanShutdown: boolean,
      restored?: boolean,
      traits?: readonly TopicTraits[],
    ];
    reply: number;
  };
  /** A durable position behind everything taken so far; while the disk is full, the one reached before. */
  commit: { args: []; reply: number };
  /** The settled files that may be dropped before their time, in the order in which they would be. */
  oldest: { args: [limit: number]; reply: readonly DroppableFile[] };
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

/** Answers requests about the shard as a whole. Shard thread only. */
export class UpkeepRequests {
  readonly handlers: RequestHandlers<UpkeepRequestMap> = {
    reconcile: (args, done) => this.#reconcile(args, done),
    commit: (_args, done) => this.#commit(done),
    oldest: ([limit], done) => done(this.#context.upkeep.retention.oldest(limit)),
    drop: ([files], done) => this.#context.upkeep.retention.dropOldest(files, done),
    status: (_args, done) => this.#status(done),
  };
  readonly #shardId: number;
  readonly #context: RequestContext;
  readonly #topics: TopicRequests;
  readonly #writer: CatalogWriter;

  constructor(shardId: number, context: RequestContext, topics: TopicRequests, writer: CatalogWriter) {
    this.#shardId = shardId;
    this.#context = context;
    this.#topics = topics;
    this.#writer = writer;
  }

  #reconcile(
    args: UpkeepRequestMap["reconcile"]["args"],
    done: Done<UpkeepRequestMap["reconcile"]["reply"]>,
  ): void {
    const [partitions, cleanShutdown, restored = false, traits = []] = args;
    const { state, journal } = this.#context;
    const wanted = new Set(partitions.map(([topicId, partition]) => `${topicId}/${partition}`));
    for (const partition of [...state.partitions.values()]) {
      if (partition.topicId === CATALOG_TOPIC_ID) continue;
      if (wanted.has(`${partition.topicId}/${partition.partition}`)) continue;
      state.close(partition);
      journal.index.dropTopic(partition.topicId);
    }
    state.setTraits(traits);
    const changes: StateChange[] = [];
    if (restored && this.#shardId === 0) {
      // Topics that the restore has forgotten may still be known by their ids: new ones begin at this epoch.
      const catalog = this.#writer.partition;
      changes.push(this.#newLife(catalog, catalog.nextOffset));
      state.applyChange(changes[0] as StateChange);
      catalog.highWatermark = catalog.nextOffset;
    }
    for (const opening of partitions) {
      const partition = this.#topics.opened(opening);
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

  #commit(done: Done<UpkeepRequestMap["commit"]["reply"]>): void {
    const { journal } = this.#context;
    if (journal.isFull) done(journal.committedPosition());
    else this.#context.afterCommit(() => done(journal.committedPosition()));
  }

  #status(done: Done<UpkeepRequestMap["status"]["reply"]>): void {
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
}
