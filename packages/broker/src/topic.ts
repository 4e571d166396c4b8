import type { RestorePoint } from "@millrace/protocol";

/** How durable a record is when its publish is acknowledged. The wire names; see the README's table. */
export type Durability = "memory" | "written" | "fsynced";

/** Index = the number used in the rings and journal; append-only. */
export const DURABILITIES: readonly Durability[] = ["memory", "written", "fsynced"];
export const DURABILITY_MEMORY = 0;
export const DURABILITY_WRITTEN = 1;
export const DURABILITY_FSYNCED = 2;

/** When records may be dropped: by the topic's bounds alone, or also once every queue and keyed subscription has finished them. */
export type TopicRetention = "time" | "acknowledged";

/** What becomes of unfinished records beyond the bounds of a topic that retains until acknowledged. */
export type TopicOverflow = "refuse" | "dead-letter";

/** What a user may set when a topic is created. */
export interface TopicConfig {
  readonly partitions: number;
  /** Age in ms after which records may be dropped; 0 = never. */
  readonly retentionMs: number;
  /** Bytes over all partitions after which the oldest may be dropped; 0 = no bound. */
  readonly retentionBytes: number;
  readonly durability: Durability;
  /** Absent = "time". */
  readonly retention?: TopicRetention;
  /** Absent = "refuse": publishes get TOPIC_FULL. Of no effect with retention "time". */
  readonly overflow?: TopicOverflow;
}

/** What may change in a topic's life; what is left out stays. */
export type TopicChanges = Partial<Omit<TopicConfig, "partitions">>;

/** A topic as the catalog knows it. */
export interface Topic extends TopicConfig {
  readonly name: string;
  /** Never reused. 0 is `$catalog`. */
  readonly topicId: number;
  readonly createdMs: number;
  /** Offset of the topic's record in `$catalog`. */
  readonly catalogPosition: number;
  /** Index = partition, value = the shard that owns it; fixed when the topic is created. */
  readonly shards: readonly number[];
  /** Dead-letter topics: the topic whose dead letters it takes, by id. That one may be deleted. */
  readonly deadLetterOf?: number;
}

/** Most topics have one partition: those on the same shard share the list of it. */
const singleShards: (readonly number[])[] = [];

/**
 * The same topic for whoever keeps it: what is decoded or cloned holds on to the text that its name was cut out of, and
 * takes twice the memory. Of 10,000 topics that is 3 MB a thread.
 */
export function compactTopic(topic: Topic): Topic {
  const { topicId, partitions, retentionMs, retentionBytes, createdMs, catalogPosition } = topic;
  const { retention, overflow, deadLetterOf } = topic;
  const compact: Topic = {
    name: Buffer.from(topic.name).toString(),
    topicId,
    partitions,
    retentionMs,
    retentionBytes,
    durability: DURABILITIES[DURABILITIES.indexOf(topic.durability)] ?? topic.durability,
    createdMs,
    catalogPosition,
    shards: sharedShards(topic.shards),
  };
  if (retention === undefined && overflow === undefined && deadLetterOf === undefined) return compact;
  return {
    ...compact,
    ...(retention === undefined ? {} : { retention }),
    ...(overflow === undefined ? {} : { overflow }),
    ...(deadLetterOf === undefined ? {} : { deadLetterOf }),
  };
}

function sharedShards(shards: readonly number[]): readonly number[] {
  const [shard] = shards;
  if (shard === undefined || shards.length > 1) return shards;
  singleShards[shard] ??= [shard];
  return singleShards[shard];
}

/** Bounds of one partition. Offsets count records. */
export interface PartitionBounds {
  readonly partition: number;
  readonly logStartOffset: number;
  /** One past the last offset that consumers may see. */
  readonly highWatermark: number;
  /** Raised whenever records that somebody may have seen can be gone. */
  readonly logEpoch: number;
  /** What the log has been through, oldest first; absent = none. */
  readonly restores?: readonly RestorePoint[];
  /** Bytes of the records that are kept, as they are stored. */
  readonly retainedBytes: number;
}
