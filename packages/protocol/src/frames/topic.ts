import type { Durability } from "../durability.ts";
import { isDurability } from "../durability.ts";
import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import {
  isTopicOverflow,
  isTopicRetention,
  type TopicOverflow,
  type TopicRetention,
} from "../topic-config.ts";
import { readRow, skipRest } from "./element.ts";

/** One partition as DESCRIBE_TOPIC shows it. */
export interface PartitionInfo {
  readonly partition: number;
  readonly shard: number;
  /** First offset that is still kept. */
  readonly logStartOffset: number;
  /** Offset after the last record that may be read. */
  readonly highWatermark: number;
  readonly logEpoch: number;
  /** Bytes of the records that are kept, as they are stored; 0 also from a server that does not say. */
  readonly retainedBytes: number;
}

/** Where the node that owns a shard takes clients itself. */
export interface ShardOwner {
  readonly shard: number;
  /** Such as `ws://10.0.0.3:40123`. */
  readonly url: string;
}

/**
 * A topic as the catalog knows it, on the wire a map of these names; `partitionInfo` there is
 * `[[partition, shard, logStartOffset, highWatermark, logEpoch, retainedBytes]]`, `owners` is `[[shard, url]]`.
 */
export interface TopicInfo {
  readonly name: string;
  /** Never reused. */
  readonly topicId: number;
  readonly partitions: number;
  /** null: without limit. */
  readonly retentionMs: number | null;
  /** null: without limit. */
  readonly retentionBytes: number | null;
  readonly durability: Durability;
  /** undefined: "time". */
  readonly retention?: TopicRetention | undefined;
  /** undefined: "refuse". */
  readonly overflow?: TopicOverflow | undefined;
  /** Id of the topic whose dead letters this one holds; undefined: it is an ordinary topic. */
  readonly deadLetterOf?: number | undefined;
  /** ms since the epoch. */
  readonly createdMs: number;
  /** Position in the catalog after which the topic is known. */
  readonly catalogPosition: number;
  /** Only in the answer to DESCRIBE_TOPIC. */
  readonly partitionInfo?: readonly PartitionInfo[] | undefined;
  /** Only in the answer to DESCRIBE_TOPIC of a server of several nodes: of the topic's shards, those that have an owner now. */
  readonly owners?: readonly ShardOwner[] | undefined;
}

/** Server to client, the answer to CREATE_TOPIC, ALTER_TOPIC and DESCRIBE_TOPIC: `[49, requestId, topic]` */
export interface TopicFrame {
  readonly requestId: number;
  readonly topic: TopicInfo;
}

/** Pairs that are always there. */
const PAIRS = 8;
/** Of the names of all pairs, each with its header. */
const PAIR_NAMES_BYTES = 120;
/** Of the longest words of durability, retention and overflow, each with its header. */
const WORDS_BYTES = 8 + 13 + 12;
/** Bytes of an encoded topic without partitionInfo, at most: its longest name, seven numbers and three words. */
export const TOPIC_BYTES_MAX: number =
  1 + PAIR_NAMES_BYTES + (2 + LIMITS.topicNameBytesMax) + 7 * 9 + WORDS_BYTES;
const PARTITION_ELEMENTS = 6;
/** What the first servers sent. */
const PARTITION_ELEMENTS_MIN = 5;
const OWNER_ELEMENTS = 2;

export function encodeTopic(writer: FrameWriter, frame: TopicFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.TOPIC);
  writer.uint(frame.requestId);
  writeTopicInfo(writer, frame.topic);
}

export function decodeTopic(reader: FrameReader): TopicFrame {
  const requestId = reader.required("requestId").uint();
  const topic = readTopicInfo(reader.required("topic"));
  reader.close();
  return { requestId, topic };
}

export function writeTopicInfo(writer: FrameWriter, topic: TopicInfo): void {
  const { retention, overflow, deadLetterOf, partitionInfo, owners } = topic;
  const optional = [retention, overflow, deadLetterOf, partitionInfo, owners];
  writer.mapHeader(PAIRS + optional.filter((value) => value !== undefined).length);
  writer.str("name");
  writer.str(topic.name);
  writer.str("topicId");
  writer.uint(topic.topicId);
  writer.str("partitions");
  writer.uint(topic.partitions);
  writer.str("retentionMs");
  writer.any(topic.retentionMs);
  writer.str("retentionBytes");
  writer.any(topic.retentionBytes);
  writer.str("durability");
  writer.str(topic.durability);
  writer.str("createdMs");
  writer.uint(topic.createdMs);
  writer.str("catalogPosition");
  writer.uint(topic.catalogPosition);
  if (retention !== undefined) {
    writer.str("retention");
    writer.str(retention);
  }
  if (overflow !== undefined) {
    writer.str("overflow");
    writer.str(overflow);
  }
  if (deadLetterOf !== undefined) {
    writer.str("deadLetterOf");
    writer.uint(deadLetterOf);
  }
  if (partitionInfo !== undefined) writePartitionInfo(writer, partitionInfo);
  if (owners === undefined) return;
  writer.str("owners");
  writer.arrayHeader(owners.length);
  for (const { shard, url } of owners) {
    writer.arrayHeader(OWNER_ELEMENTS);
    writer.uint(shard);
    writer.str(url);
  }
}

function writePartitionInfo(writer: FrameWriter, partitionInfo: readonly PartitionInfo[]): void {
  writer.str("partitionInfo");
  writer.arrayHeader(partitionInfo.length);
  for (const info of partitionInfo) {
    writer.arrayHeader(PARTITION_ELEMENTS);
    writer.uint(info.partition);
    writer.uint(info.shard);
    writer.uint(info.logStartOffset);
    writer.uint(info.highWatermark);
    writer.uint(info.logEpoch);
    writer.uint(info.retainedBytes);
  }
}

export function readTopicInfo(reader: FrameReader): TopicInfo {
  let name: string | undefined;
  let topicId: number | undefined;
  let partitions: number | undefined;
  let retentionMs: number | null = null;
  let retentionBytes: number | null = null;
  let durability: Durability = "fsynced";
  let createdMs = 0;
  let catalogPosition = 0;
  let retention: TopicRetention | undefined;
  let overflow: TopicOverflow | undefined;
  let deadLetterOf: number | undefined;
  let partitionInfo: PartitionInfo[] | undefined;
  let owners: ShardOwner[] | undefined;
  for (let left = reader.mapHeader(); left > 0; left -= 1) {
    const field = reader.str();
    if (field === "name") name = reader.str();
    else if (field === "topicId") topicId = reader.uint();
    else if (field === "partitions") partitions = reader.uint();
    else if (field === "retentionMs") retentionMs = reader.nil() ? null : reader.uint();
    else if (field === "retentionBytes") retentionBytes = reader.nil() ? null : reader.uint();
    else if (field === "durability") durability = readDurability(reader);
    else if (field === "createdMs") createdMs = reader.uint();
    else if (field === "catalogPosition") catalogPosition = reader.uint();
    else if (field === "retention") retention = readRetention(reader);
    else if (field === "overflow") overflow = readOverflow(reader);
    else if (field === "deadLetterOf") deadLetterOf = reader.nil() ? undefined : reader.uint();
    else if (field === "partitionInfo") partitionInfo = reader.nil() ? undefined : readPartitionInfo(reader);
    else if (field === "owners") owners = reader.nil() ? undefined : readOwners(reader);
    else reader.skip();
  }
  if (name === undefined || topicId === undefined || partitions === undefined) {
    return reader.malformed("a topic has a name, a topicId and partitions");
  }
  return {
    name,
    topicId,
    partitions,
    retentionMs,
    retentionBytes,
    durability,
    createdMs,
    catalogPosition,
    retention,
    overflow,
    deadLetterOf,
    partitionInfo,
    owners,
  };
}

function readOwners(reader: FrameReader): ShardOwner[] {
  const owners: ShardOwner[] = [];
  for (let left = reader.arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, OWNER_ELEMENTS);
    owners.push({ shard: reader.uint(), url: reader.str() });
    skipRest(reader, elements, OWNER_ELEMENTS);
  }
  return owners;
}

function readDurability(reader: FrameReader): Durability {
  const durability = reader.str();
  return isDurability(durability) ? durability : reader.malformed(`there is no durability ${durability}`);
}

function readRetention(reader: FrameReader): TopicRetention {
  const retention = reader.str();
  return isTopicRetention(retention) ? retention : reader.malformed(`there is no retention ${retention}`);
}

function readOverflow(reader: FrameReader): TopicOverflow {
  const overflow = reader.str();
  return isTopicOverflow(overflow) ? overflow : reader.malformed(`there is no overflow ${overflow}`);
}

function readPartitionInfo(reader: FrameReader): PartitionInfo[] {
  const partitions: PartitionInfo[] = [];
  for (let left = reader.arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, PARTITION_ELEMENTS_MIN);
    partitions.push({
      partition: reader.uint(),
      shard: reader.uint(),
      logStartOffset: reader.uint(),
      highWatermark: reader.uint(),
      logEpoch: reader.uint(),
      retainedBytes: elements > PARTITION_ELEMENTS_MIN ? reader.uint() : 0,
    });
    skipRest(reader, elements, PARTITION_ELEMENTS);
  }
  return partitions;
}
