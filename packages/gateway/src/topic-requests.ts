import type { GatewayPort, Topic, TopicChanges, TopicConfig } from "@millrace/broker/internal";
import {
  type AlterTopicFrame,
  type CreateTopicFrame,
  type DeleteTopicFrame,
  type DescribeTopicFrame,
  encodeTopic,
  encodeTopicDeleted,
  encodeTopics,
  encodeTruncated,
  type FrameWriter,
  isValidTopicName,
  LIMITS,
  type ListTopicsFrame,
  MillraceError,
  type PartitionInfo,
  parseTopicChanges,
  parseTopicConfig,
  type ShardOwner,
  TOPIC_BYTES_MAX,
  type TopicInfo,
  type TruncateTopicFrame,
  topicNameProblem,
} from "@millrace/protocol";
import { namedPartitions } from "./named-partitions.ts";
import type { Session } from "./session.ts";
import { offsetsForTime } from "./time-lookups.ts";

/** What a topic is like when its creator does not say. */
export const DEFAULT_TOPIC_CONFIG: TopicConfig = {
  partitions: 1,
  retentionMs: 7 * 86_400_000,
  retentionBytes: 0,
  durability: "fsynced",
};

/** More than what a TOPICS frame holds beside its topics. */
const TOPICS_HEAD_BYTES = 64;

if (TOPICS_HEAD_BYTES + LIMITS.topicsPerPageMax * TOPIC_BYTES_MAX >= LIMITS.frameBytesMax) {
  throw new RangeError("a frame must hold the largest page of topics");
}

/** The topics of the catalog as clients may see them, and their requests about them. */
export class TopicRequests {
  readonly #port: GatewayPort;
  readonly #writer: FrameWriter;
  readonly #autoCreate: TopicConfig | undefined;
  /** Topics that are being made because somebody uses them, by name. */
  readonly #creating: Map<string, Promise<Topic>> = new Map();

  constructor(port: GatewayPort, writer: FrameWriter, autoCreate: TopicConfig | undefined) {
    this.#port = port;
    this.#writer = writer;
    this.#autoCreate = autoCreate;
  }

  /** The topic of a SUBSCRIBE or DESCRIBE_TOPIC; made now when topics are made automatically. */
  async topic(name: string): Promise<Topic> {
    const topic = this.known(name) ?? (await this.#found(name));
    if (topic !== undefined) return topic;
    if (this.#autoCreate === undefined) throw unknownTopic(name);
    // Whoever comes while it is being made waits for the same: the catalog would say only that it is there already.
    let creating = this.#creating.get(name);
    if (creating === undefined) {
      creating = this.#autoCreated(name, this.#autoCreate).finally(() => this.#creating.delete(name));
      this.#creating.set(name, creating);
    }
    return creating;
  }

  async #autoCreated(name: string, config: TopicConfig): Promise<Topic> {
    try {
      return await this.#create(name, config);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "TOPIC_EXISTS") throw error;
      // Somebody else has used it, too, perhaps at another node.
      const other = this.known(name) ?? (await this.#found(name));
      if (other === undefined) throw error;
      return other;
    }
  }

  async create(session: Session, frame: CreateTopicFrame): Promise<void> {
    const topic = await this.#create(frame.name, topicConfig(frame.config));
    this.#writer.reset();
    encodeTopic(this.#writer, { requestId: frame.requestId, topic: topicInfo(topic) });
    session.sendWritten();
  }

  async alter(session: Session, frame: AlterTopicFrame): Promise<void> {
    const before = await this.existing(frame.topic);
    const topic = await this.#port.alterTopic(before.name, topicChanges(frame.config, before));
    this.#writer.reset();
    encodeTopic(this.#writer, { requestId: frame.requestId, topic: topicInfo(topic) });
    session.sendWritten();
  }

  async truncate(session: Session, frame: TruncateTopicFrame): Promise<void> {
    const topic = await this.existing(frame.topic);
    const partitions = namedPartitions(topic, frame.partitions);
    const offsets = await this.#truncateOffsets(topic, partitions, frame.before);
    const bounds = await this.#port.truncateTopic(
      topic,
      partitions.map((partition, i) => [partition, offsets[i] as number]),
    );
    this.#writer.reset();
    encodeTruncated(this.#writer, {
      requestId: frame.requestId,
      topicId: topic.topicId,
      partitions: bounds,
    });
    session.sendWritten();
  }

  async describe(session: Session, frame: DescribeTopicFrame): Promise<void> {
    const topic = await this.topic(frame.topic);
    const partitions = Array.from({ length: topic.partitions }, (_, partition) => partition);
    const bounds = await this.#port.bounds(topic, partitions);
    const partitionInfo: PartitionInfo[] = bounds.map((entry) => ({
      ...entry,
      shard: topic.shards[entry.partition] as number,
    }));
    const owners = this.#owners(topic);
    const described = {
      ...topicInfo(topic),
      partitionInfo,
      ...(owners.length === 0 ? {} : { owners }),
    };
    this.#writer.reset();
    encodeTopic(this.#writer, { requestId: frame.requestId, topic: described });
    session.sendWritten();
  }

  #owners(topic: Topic): ShardOwner[] {
    const owners: ShardOwner[] = [];
    for (const shard of new Set(topic.shards)) {
      const url = this.#port.ownerUrl(shard);
      if (url !== undefined) owners.push({ shard, url });
    }
    return owners;
  }

  async delete(session: Session, frame: DeleteTopicFrame): Promise<void> {
    const { name } = await this.existing(frame.topic);
    const topic = await this.#port.deleteTopic(name);
    this.#writer.reset();
    encodeTopicDeleted(this.#writer, {
      requestId: frame.requestId,
      name,
      catalogPosition: topic.catalogPosition,
    });
    session.sendWritten();
  }

  /** One page: the first names after the one that the client has already. */
  list(session: Session, frame: ListTopicsFrame): void {
    // No name is empty.
    const { requestId, after = "" } = frame;
    const left: Topic[] = [];
    for (const topic of this.#port.topics()) {
      if (topic.name > after && isValidTopicName(topic.name)) left.push(topic);
    }
    left.sort((a, b) => (a.name < b.name ? -1 : 1));
    const topics = left.slice(0, LIMITS.topicsPerPageMax).map(topicInfo);
    this.#writer.reset();
    encodeTopics(this.#writer, { requestId, topics, more: left.length > topics.length });
    session.sendWritten();
  }

  /** Not made automatically: whoever changes a topic means one that is there. */
  async existing(name: string): Promise<Topic> {
    const topic = this.known(name) ?? (await this.#found(name));
    if (topic === undefined) throw unknownTopic(name);
    return topic;
  }

  known(name: string): Topic | undefined {
    // Internal topics have names that no client can use.
    return isValidTopicName(name) ? this.#port.topicByName(name) : undefined;
  }

  /** As known(), once this node is sure to have heard of everything that anybody was told of. */
  async #found(name: string): Promise<Topic | undefined> {
    if (!isValidTopicName(name)) return undefined;
    await this.#port.catchUp({ topic: name });
    return this.known(name);
  }

  async #truncateOffsets(
    topic: Topic,
    partitions: readonly number[],
    before: TruncateTopicFrame["before"],
  ): Promise<readonly number[]> {
    switch (before.kind) {
      case "offset":
        return partitions.map(() => before.offset);
      case "time":
        return offsetsForTime(this.#port, topic, partitions, before.timeMs);
      case "latest": {
        const bounds = await this.#port.bounds(topic, partitions);
        return bounds.map(({ highWatermark }) => highWatermark);
      }
    }
  }

  #create(name: string, config: TopicConfig): Promise<Topic> {
    const problem = topicNameProblem(name);
    if (problem !== undefined) throw new MillraceError("INVALID_TOPIC_NAME", problem, { details: { name } });
    return this.#port.createTopic(name, config);
  }
}

/**
 * The settings in `map` over `defaults`. On the wire no bound is nil, in the catalog it is 0.
 * @throws MillraceError INVALID_TOPIC_CONFIG
 */
export function topicConfig(
  map: Readonly<Record<string, unknown>>,
  defaults: TopicConfig = DEFAULT_TOPIC_CONFIG,
): TopicConfig {
  const config = parseTopicConfig(map);
  const { retention = defaults.retention, overflow = defaults.overflow } = config;
  return {
    partitions: config.partitions ?? defaults.partitions,
    retentionMs: config.retentionMs === undefined ? defaults.retentionMs : (config.retentionMs ?? 0),
    retentionBytes:
      config.retentionBytes === undefined ? defaults.retentionBytes : (config.retentionBytes ?? 0),
    durability: config.durability ?? defaults.durability,
    ...(retention === undefined ? {} : { retention }),
    ...(overflow === undefined ? {} : { overflow }),
  };
}

/** @throws MillraceError PARTITIONS_FIXED, INVALID_TOPIC_CONFIG */
function topicChanges(map: Readonly<Record<string, unknown>>, topic: Topic): TopicChanges {
  const { retentionMs, retentionBytes, durability, retention, overflow } = parseTopicChanges(map);
  if (overflow !== undefined && (retention ?? topic.retention) !== "acknowledged") {
    throw new MillraceError(
      "INVALID_TOPIC_CONFIG",
      "topic setting overflow: only a topic of retention acknowledged has one",
      { details: { setting: "overflow" } },
    );
  }
  return {
    ...(retentionMs === undefined ? {} : { retentionMs: retentionMs ?? 0 }),
    ...(retentionBytes === undefined ? {} : { retentionBytes: retentionBytes ?? 0 }),
    ...(durability === undefined ? {} : { durability }),
    ...(retention === undefined ? {} : { retention }),
    ...(overflow === undefined ? {} : { overflow }),
  };
}

export function unknownTopic(name: string): MillraceError {
  return new MillraceError("UNKNOWN_TOPIC", `there is no topic ${JSON.stringify(name)}`, {
    details: { topic: name },
  });
}

/** As clients see it. */
export function topicInfo(topic: Topic): TopicInfo {
  const { name, topicId, partitions, retentionMs, retentionBytes, durability, createdMs, catalogPosition } =
    topic;
  const { retention, overflow, deadLetterOf } = topic;
  return {
    name,
    topicId,
    partitions,
    retentionMs: retentionMs === 0 ? null : retentionMs,
    retentionBytes: retentionBytes === 0 ? null : retentionBytes,
    durability,
    retention,
    overflow,
    createdMs,
    catalogPosition,
    deadLetterOf,
  };
}
