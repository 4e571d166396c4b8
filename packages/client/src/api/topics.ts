import type { Durability } from "./record.ts";

/** What may be chosen when a topic is created; the broker's defaults apply to the rest. */
export interface TopicConfig {
  /** 1..1024, 1 by default; fixed for the topic's life. */
  readonly partitions?: number | undefined;
  /** Age in ms after which records may be dropped; null = never. 7 days by default. */
  readonly retentionMs?: number | null | undefined;
  /** Bytes over all partitions after which the oldest may be dropped; null = no bound, the default. */
  readonly retentionBytes?: number | null | undefined;
  /** What an acknowledgement promises: `fsynced` by default. */
  readonly durability?: Durability | undefined;
  /**
   * "time" (the default): records are kept as long as the bounds say. "acknowledged": a record may go already when every
   * queue and keyed subscription has finished with it.
   */
  readonly retention?: TopicRetention | undefined;
  /**
   * What happens when a topic that keeps until acknowledged reaches a bound with records that nobody has finished: publishes
   * are refused with TOPIC_FULL (the default), or the oldest records go to the dead-letter topic.
   */
  readonly overflow?: TopicOverflow | undefined;
}

export type TopicRetention = "time" | "acknowledged";
export type TopicOverflow = "refuse" | "dead-letter";

/** What may be changed in a topic's life; what is left out stays. */
export type TopicChanges = Omit<TopicConfig, "partitions">;

/**
 * How far the records of a topic are given up:
 * - `{ offset }`: those below it, in each partition;
 * - `{ time }`: those that were appended before a time (Date, or ms since the epoch);
 * - `"latest"`: all that can be read now.
 */
export type TruncateBefore = { readonly offset: number } | { readonly time: Date | number } | "latest";

export interface Truncation {
  readonly before: TruncateBefore;
  /** All of them if left out. */
  readonly partitions?: readonly number[] | undefined;
}

/** What a truncated partition holds now. */
export interface TruncatedPartition {
  readonly partition: number;
  /** First offset that can still be read. */
  readonly logStartOffset: number;
  /** One past the last offset that can be read. */
  readonly highWatermark: number;
}

/** A topic as the broker knows it. */
export interface Topic {
  readonly name: string;
  /** Never reused: a topic that is deleted and created again gets another id. */
  readonly topicId: number;
  readonly partitions: number;
  /** null: kept for ever, as far as age goes. */
  readonly retentionMs: number | null;
  /** null: without bound. */
  readonly retentionBytes: number | null;
  readonly durability: Durability;
  /** Undefined: "time". */
  readonly retention?: TopicRetention | undefined;
  /** Undefined: "refuse". */
  readonly overflow?: TopicOverflow | undefined;
  /** Id of the topic whose dead letters this one has; undefined for an ordinary topic. */
  readonly deadLetterOf?: number | undefined;
  /** ms since the epoch. */
  readonly createdMs: number;
  /** Position in the catalog after which the topic is known. */
  readonly catalogPosition: number;
}

/** Bounds of one partition. */
export interface PartitionInfo {
  readonly partition: number;
  readonly shard: number;
  /** First offset that can still be read. */
  readonly logStartOffset: number;
  /** One past the last offset that can be read. */
  readonly highWatermark: number;
  /** Raised whenever records that somebody may have seen can be gone. */
  readonly logEpoch: number;
  /** Bytes of the records that are kept, as the broker stores them; 0 from a broker that does not say. */
  readonly retainedBytes: number;
}

/** Where the node that owns a shard takes clients itself. */
export interface ShardOwner {
  readonly shard: number;
  readonly url: string;
}

/** A topic with the bounds of its partitions. */
export interface TopicDescription extends Topic {
  readonly partitionInfo: readonly PartitionInfo[];
  /** Of a broker of several nodes: of the topic's shards, those that have an owner now. */
  readonly owners?: readonly ShardOwner[] | undefined;
}

/** Options of every request to the broker. */
export interface RequestOptions {
  /** Rejects the promise with ABORTED; the broker may still carry the request out. */
  readonly signal?: AbortSignal | undefined;
  /** Rejects with TIMEOUT after so many ms; `requestTimeoutMs` of `connect` by default. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Topic administration. Without a connection a request waits for the next one, within its time. `list`,
 * `describe`, `alter` and `truncate` are repeated after a lost connection. `create` and `delete` reject with
 * CONNECTION_LOST (retriable), since only the caller can say whether TOPIC_EXISTS or UNKNOWN_TOPIC is then a success; so
 * does `truncate` before "latest", which would take what was published since.
 */
export interface Topics {
  /** Rejects with TOPIC_EXISTS, INVALID_TOPIC_NAME, INVALID_TOPIC_CONFIG or TOO_MANY_TOPICS. */
  create(name: string, config?: TopicConfig, options?: RequestOptions): Promise<Topic>;
  /**
   * All topics by ascending name, without the bounds of their partitions. Many of them take several requests, within the
   * time of one: of topics made or deleted meanwhile, some may be missing.
   */
  list(options?: RequestOptions): Promise<Topic[]>;
  /** Rejects with UNKNOWN_TOPIC. */
  describe(name: string, options?: RequestOptions): Promise<TopicDescription>;
  /** Rejects with UNKNOWN_TOPIC, PARTITIONS_FIXED or INVALID_TOPIC_CONFIG. Resolves once the change is in force. */
  alter(name: string, changes: TopicChanges, options?: RequestOptions): Promise<Topic>;
  /**
   * Gives up the oldest records of a topic; this cannot be undone. A log's start never goes back: what is gone already
   * changes nothing. Subscriptions below it are told of a gap, "retention". Resolves, once it is durable, to the bounds
   * of the partitions named. Rejects with UNKNOWN_TOPIC, UNKNOWN_PARTITION, INVALID_FROM, or, for an offset beyond the end
   * of a partition, OFFSET_OUT_OF_RANGE: then nothing has changed.
   */
  truncate(name: string, truncation: Truncation, options?: RequestOptions): Promise<TruncatedPartition[]>;
  /** Rejects with UNKNOWN_TOPIC. */
  delete(name: string, options?: RequestOptions): Promise<void>;
}
