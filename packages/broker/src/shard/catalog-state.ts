import { LIMITS, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import {
  compactTopic,
  type Durability,
  type Topic,
  type TopicChanges,
  type TopicConfig,
  type TopicOverflow,
  type TopicRetention,
} from "../topic.ts";
import { KeyedRecords, keyedRecords } from "./keyed-records.ts";
import { isSubscriptionKey, SubscriptionCatalog } from "./subscription-catalog.ts";

/** `$catalog`: topicId 0, one partition, on shard 0, always `fsynced`. */
export const CATALOG_TOPIC_ID = 0;

/** What stands in the value of a topic's record in `$catalog`; the key is the topic's name. */
interface CatalogValue {
  topicId: number;
  partitions: number;
  retentionMs: number;
  retentionBytes: number;
  durability: Durability;
  createdMs: number;
  shards: number[];
  retention?: TopicRetention;
  overflow?: TopicOverflow;
  deadLetterOf?: number;
}

/** Dead letters are kept for 14 days, or as long as their source's records. */
const DEAD_LETTER_RETENTION_MS = 1_209_600_000;

/** The catalog in a checkpoint; `records` as KeyedRecords has them. */
export interface CatalogImage {
  readonly nextTopicId: number;
  readonly nextSubscriptionId: number;
  readonly records: Uint8Array;
}

/** The same in checkpoints of version 1. */
export interface OldCatalogImage {
  readonly nextTopicId: number;
  readonly topics: readonly Topic[];
}

// Plain MessagePack maps: any library must be able to read the catalog.
const packr = new Packr({ useRecords: false });

/**
 * The catalog as shard 0 holds it: rebuilt from the records of `$catalog`, newest record per name wins, nil
 * deletes. Changes are planned here, staged by the shard, and visible to gateways once committed.
 */
export class CatalogState {
  readonly subscriptions: SubscriptionCatalog = new SubscriptionCatalog();
  readonly #records: KeyedRecords = new KeyedRecords();
  readonly #byId: Map<number, Topic> = new Map();
  /** By source: the topics of their dead letters. */
  readonly #deadLetterTopics: Map<number, Topic> = new Map();
  readonly #topics: Map<string, Topic> = new Map();
  readonly #partitionsPerShard: number[];
  #partitionsTotal = 0;
  #nextTopicId = 1;

  constructor(shardCount: number) {
    this.#partitionsPerShard = new Array(shardCount).fill(0);
  }

  topics(): Topic[] {
    return [...this.#topics.values()];
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  byId(topicId: number): Topic | undefined {
    return this.#byId.get(topicId);
  }

  /** A topic that does not exist yet, placed on the least loaded shards. Throws TOPIC_EXISTS and the like. */
  plan(name: string, config: TopicConfig, createdMs: number, catalogPosition: number): Topic {
    if (this.#topics.has(name)) {
      throw new MillraceError("TOPIC_EXISTS", `topic already exists: ${name}`, { details: { topic: name } });
    }
    this.#assertRoom(config.partitions);
    return {
      ...config,
      name,
      topicId: this.#nextTopicId,
      createdMs,
      catalogPosition,
      shards: this.#place(config.partitions),
    };
  }

  /** The topic that takes this one's dead letters, if there is one. */
  deadLetterTopicOf(sourceTopicId: number): Topic | undefined {
    return this.#deadLetterTopics.get(sourceTopicId);
  }

  /**
   * A topic for the dead letters of another one, on the same shards so that both are in one journal. Throws UNKNOWN_TOPIC,
   * TOO_MANY_TOPICS.
   */
  planDeadLetters(sourceTopicId: number, createdMs: number, catalogPosition: number): Topic {
    const source = this.byId(sourceTopicId);
    if (source === undefined) throw unknownTopic(String(sourceTopicId));
    const { partitions, shards, retentionMs } = source;
    this.#assertRoom(partitions);
    return {
      name: this.#deadLetterName(source.name),
      topicId: this.#nextTopicId,
      partitions,
      retentionMs: retentionMs === 0 ? 0 : Math.max(retentionMs, DEAD_LETTER_RETENTION_MS),
      retentionBytes: 0,
      durability: "fsynced",
      createdMs,
      catalogPosition,
      shards,
      deadLetterOf: sourceTopicId,
    };
  }

  #assertRoom(partitions: number): void {
    if (this.#topics.size >= BROKER_LIMITS.topicsMax) {
      throw new MillraceError("TOO_MANY_TOPICS", `topicsMax reached: ${BROKER_LIMITS.topicsMax}`);
    }
    if (this.#partitionsTotal + partitions > BROKER_LIMITS.partitionsTotalMax) {
      throw new MillraceError(
        "TOO_MANY_TOPICS",
        `partitionsTotalMax reached: have=${this.#partitionsTotal} asked=${partitions} max=${BROKER_LIMITS.partitionsTotalMax}`,
      );
    }
  }

  #deadLetterName(source: string): string {
    for (let number = 1; ; number += 1) {
      const suffix = number === 1 ? ".dlq" : `.dlq-${number}`;
      const name = source.slice(0, LIMITS.topicNameBytesMax - suffix.length) + suffix;
      if (!this.#topics.has(name)) return name;
    }
  }

  /** The topic with other settings. Throws UNKNOWN_TOPIC. */
  planChange(name: string, changes: TopicChanges, catalogPosition: number): Topic {
    const topic = this.get(name);
    if (topic === undefined) throw unknownTopic(name);
    return {
      ...topic,
      retentionMs: changes.retentionMs ?? topic.retentionMs,
      retentionBytes: changes.retentionBytes ?? topic.retentionBytes,
      durability: changes.durability ?? topic.durability,
      ...(changes.retention === undefined ? {} : { retention: changes.retention }),
      ...(changes.overflow === undefined ? {} : { overflow: changes.overflow }),
      catalogPosition,
    };
  }

  /** The record for `$catalog`. */
  encode(topic: Topic): Uint8Array {
    const { retention, overflow, deadLetterOf } = topic;
    const value: CatalogValue = {
      topicId: topic.topicId,
      partitions: topic.partitions,
      retentionMs: topic.retentionMs,
      retentionBytes: topic.retentionBytes,
      durability: topic.durability,
      createdMs: topic.createdMs,
      shards: [...topic.shards],
      ...(retention === undefined ? {} : { retention }),
      ...(overflow === undefined ? {} : { overflow }),
      ...(deadLetterOf === undefined ? {} : { deadLetterOf }),
    };
    return packr.pack(value);
  }

  /** Applies one record of `$catalog`: a topic, or a subscription. `value` empty = deleted. */
  apply(key: string, value: Uint8Array, catalogPosition: number): void {
    if (value.length === 0) this.#records.delete(key);
    else this.#records.set(key, value, catalogPosition);
    if (isSubscriptionKey(key)) {
      this.subscriptions.apply(key, value, catalogPosition, (topicId) => this.byId(topicId)?.partitions ?? 0);
    } else {
      this.#applyTopic(key, value, catalogPosition);
    }
  }

  #applyTopic(name: string, value: Uint8Array, catalogPosition: number): void {
    const previous = this.#topics.get(name);
    const next: Topic | undefined =
      value.length === 0
        ? undefined
        : compactTopic({ name, catalogPosition, ...(packr.unpack(value) as CatalogValue) });
    if (previous !== undefined) {
      this.#remove(previous);
      // Its subscriptions are deleted with it, without a record of each.
      if (previous.topicId !== next?.topicId) {
        const keys = this.subscriptions.removeTopic(previous.topicId, previous.partitions);
        for (const key of keys) this.#records.delete(key);
      }
    }
    if (next !== undefined) this.#add(next);
  }

  #add(topic: Topic): void {
    this.#topics.set(topic.name, topic);
    this.#byId.set(topic.topicId, topic);
    if (topic.deadLetterOf !== undefined) this.#deadLetterTopics.set(topic.deadLetterOf, topic);
    this.#count(topic, 1);
    // Ids are never reused, also when the topic with the highest one was deleted: nextTopicId is checkpointed.
    this.#nextTopicId = Math.max(this.#nextTopicId, topic.topicId + 1);
  }

  #remove(topic: Topic): void {
    this.#topics.delete(topic.name);
    this.#byId.delete(topic.topicId);
    if (topic.deadLetterOf !== undefined) this.#deadLetterTopics.delete(topic.deadLetterOf);
    this.#count(topic, -1);
  }

  /** Ids below are not given out any more. */
  startIdsAt(topicId: number): void {
    this.#nextTopicId = Math.max(this.#nextTopicId, topicId);
  }

  snapshot(): CatalogImage {
    return {
      nextTopicId: this.#nextTopicId,
      nextSubscriptionId: this.subscriptions.nextId,
      records: this.#records.encode(),
    };
  }

  restore(image: CatalogImage | OldCatalogImage): void {
    if ("records" in image) {
      for (const { key, value, number } of keyedRecords(image.records)) this.apply(key, value, number);
      this.subscriptions.startIdsAt(image.nextSubscriptionId);
    } else {
      for (const topic of image.topics) this.apply(topic.name, this.encode(topic), topic.catalogPosition);
    }
    this.startIdsAt(image.nextTopicId);
  }

  #count(topic: Topic, step: number): void {
    for (const shard of topic.shards) {
      this.#partitionsPerShard[shard] = (this.#partitionsPerShard[shard] ?? 0) + step;
    }
    this.#partitionsTotal += step * topic.partitions;
  }

  /** One shard a partition, always the one with the fewest partitions. */
  #place(partitions: number): number[] {
    const load = [...this.#partitionsPerShard];
    const shards: number[] = [];
    for (let partition = 0; partition < partitions; partition += 1) {
      let least = 0;
      for (let shard = 1; shard < load.length; shard += 1) {
        if ((load[shard] as number) < (load[least] as number)) least = shard;
      }
      load[least] = (load[least] as number) + 1;
      shards.push(least);
    }
    return shards;
  }
}

export function unknownTopic(name: string): MillraceError {
  return new MillraceError("UNKNOWN_TOPIC", `no such topic: ${name}`, { details: { topic: name } });
}
