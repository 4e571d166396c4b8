import { PartitionTail } from "./partition-tail.ts";
import type { ProducerState } from "./producer-table.ts";

/** One partition as its shard sees it. Shard thread only. */
export class Partition {
  readonly topicId: number;
  readonly partition: number;
  /** Index into DURABILITIES. */
  durability: number;
  logStartOffset = 0;
  /** The next offset to give out. Beyond highWatermark it is speculative: nothing shows it. */
  nextOffset = 0;
  /** One past the last offset that consumers may see. */
  highWatermark = 0;
  logEpoch = 0;
  /** Bytes of the entries that are kept. */
  retainedBytes = 0;
  /** Append times never go back within a partition. */
  lastTimeMs = 0;
  /** Topics weaker than `fsynced`: offsets below this are reserved durably, so they are never given out twice. */
  reservedUntil = 0;
  /** A reservation that is staged but not yet durable; equals reservedUntil when there is none. */
  reservationStaged = 0;
  /** Runs of this partition that wait for a sync; while there are any, weaker acks may not overtake them. */
  pendingSynced = 0;
  readonly tail: PartitionTail = new PartitionTail();
  readonly producers: Map<number, ProducerState> = new Map();

  /** The gateway has sessions at the tail: deliver to them from tailOffset on, under sharedStreamId. */
  tailed = false;
  sharedStreamId = 0;
  tailOffset = 0;
  /** Already in the shard's list of partitions with tail deliveries to send. */
  tailQueued = false;
  deleted = false;

  constructor(topicId: number, partition: number, durability: number) {
    this.topicId = topicId;
    this.partition = partition;
    this.durability = durability;
  }
}

/** Key of a partition in maps: topic ids stay far below 2^42. */
export function partitionKey(topicId: number, partition: number): number {
  return topicId * 1024 + partition;
}
