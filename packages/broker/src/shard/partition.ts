import type { RestorePoint } from "@millrace/protocol";
import type { PartitionQueues } from "../subscription/dispatched-queue.ts";
import type { FetchedLog } from "./fetched-log.ts";
import { PartitionTail } from "./partition-tail.ts";
import type { ProducerState } from "./producer-table.ts";
import { NO_TAIL_GROUPS, type TailGroup } from "./tail-group.ts";

/** Most partitions of many are idle: what only those in use need is made when they are used. */
const NO_RESTORES: readonly RestorePoint[] = [];
const NO_PRODUCERS: Map<number, ProducerState> = new Map();

/** One partition as its shard sees it. Shard thread only. */
export class Partition {
  readonly topicId: number;
  readonly partition: number;
  /** Index into DURABILITIES. */
  durability: number;
  /** Age in ms after which records may be dropped; 0 = never. Known from reconciliation on, as the next. */
  retentionMs = 0;
  /** Bytes after which the oldest may be dropped: this partition's share of its topic's; 0 = no bound. */
  retentionBytes = 0;
  /** Records below this offset are gone, durably. */
  logStartOffset = 0;
  /** Where the log starts once what is staged is durable; equals logStartOffset when nothing is. */
  logStartStaged = 0;
  /** The next offset to give out. Beyond highWatermark it is speculative: nothing shows it. */
  nextOffset = 0;
  /** One past the last offset that consumers may see. */
  highWatermark = 0;
  logEpoch = 0;
  /** Restores from backups, the newest RESTORES_MAX, oldest first. */
  restores: readonly RestorePoint[] = NO_RESTORES;
  /** Append times never go back within a partition. */
  lastTimeMs = 0;
  /** Topics weaker than `fsynced`: offsets below this are reserved durably, so they are never given out twice. */
  reservedUntil = 0;
  /** A reservation that is staged but not yet durable; equals reservedUntil when there is none. */
  reservationStaged = 0;
  /** Runs of this partition that wait for a sync; while there are any, weaker acks may not overtake them. */
  pendingSynced = 0;
  /**
   * The journal was staged up to here when the durability changed: runs staged before may wait in another table than
   * those after it, and may not be overtaken. 0: no such runs.
   */
  alteredPosition = 0;
  /** Bytes of entries that were appended since the shard was started. */
  appendedBytes = 0;
  /** From so many of them on publishes are refused as TOPIC_FULL; see AcknowledgedRetention. */
  refuseAtBytes: number = Number.POSITIVE_INFINITY;
  readonly tail: PartitionTail = new PartitionTail();
  /** What its queues had fetched from before the tail; undefined: nothing yet. */
  fetched: FetchedLog | undefined = undefined;
  /** By producerId. Those without any share one that stays empty: addProducer makes another. */
  producers: Map<number, ProducerState> = NO_PRODUCERS;

  /** Gateways that have sessions at the tail. */
  tailGroups: TailGroup[] = NO_TAIL_GROUPS;
  /** Already in the shard's list of partitions with tail deliveries to send. */
  tailQueued = false;
  deleted = false;
  /** Subscriptions of mode queue and keyed that give its records to consumers. */
  queues: PartitionQueues | undefined = undefined;

  constructor(topicId: number, partition: number, durability: number) {
    this.topicId = topicId;
    this.partition = partition;
    this.durability = durability;
  }

  addProducer(producer: ProducerState): void {
    if (this.producers === NO_PRODUCERS) this.producers = new Map();
    this.producers.set(producer.producerId, producer);
  }

  /** Takes over the settings of its topic. `stagedPosition` is the journal's. */
  configure(durability: number, retentionMs: number, retentionBytes: number, stagedPosition: number): void {
    this.retentionMs = retentionMs;
    this.retentionBytes = retentionBytes;
    if (durability === this.durability) return;
    this.durability = durability;
    this.alteredPosition = stagedPosition;
  }
}

/** Key of a partition in maps: topic ids stay far below 2^42. */
export function partitionKey(topicId: number, partition: number): number {
  return topicId * 1024 + partition;
}
