import { type Durability, isDurability } from "./durability.ts";
import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";

/** What CREATE_TOPIC may say; the server has a default for whatever is left out. */
export interface TopicConfig {
  /** 1..1024. */
  readonly partitions?: number;
  /** null: kept for ever, as far as age goes. */
  readonly retentionMs?: number | null;
  /** Of the whole topic; null: without limit. */
  readonly retentionBytes?: number | null;
  readonly durability?: Durability;
  readonly retention?: TopicRetention;
  /** For retention "acknowledged" alone. */
  readonly overflow?: TopicOverflow;
}

/**
 * When a record may go: once it is older or the topic larger than its limits say, or already when every queue and keyed
 * subscription has finished with it.
 */
export type TopicRetention = "time" | "acknowledged";

/**
 * What happens when a topic that keeps records until they are acknowledged reaches a limit with records that are not:
 * publishes are refused with TOPIC_FULL, or the oldest records go to the dead-letter topic.
 */
export type TopicOverflow = "refuse" | "dead-letter";

/** What ALTER_TOPIC may say; what is left out stays as it is. */
export type TopicChanges = Omit<TopicConfig, "partitions">;

const NAMES: ReadonlySet<string> = new Set([
  "partitions",
  "retentionMs",
  "retentionBytes",
  "durability",
  "retention",
  "overflow",
]);

/**
 * The settings in the map of a CREATE_TOPIC.
 * @throws MillraceError INVALID_TOPIC_CONFIG for a value out of its range, and for a name that this release does not
 * know: it could be a promise that it would not keep.
 */
export function parseTopicConfig(map: Readonly<Record<string, unknown>>): TopicConfig {
  const config = parseSettings(map);
  if (config.overflow !== undefined && config.retention !== "acknowledged") {
    refuse("overflow", "only a topic of retention acknowledged has one");
  }
  return config;
}

/**
 * The settings in the map of an ALTER_TOPIC.
 * @throws MillraceError PARTITIONS_FIXED if it names `partitions`, INVALID_TOPIC_CONFIG as parseTopicConfig; whether the
 * topic that is changed may have an `overflow` is for its owner to check
 */
export function parseTopicChanges(map: Readonly<Record<string, unknown>>): TopicChanges {
  if (Object.hasOwn(map, "partitions")) {
    throw new MillraceError("PARTITIONS_FIXED", "the number of a topic's partitions cannot be changed", {
      details: { setting: "partitions" },
    });
  }
  const changes = parseSettings(map);
  if (changes.overflow !== undefined && changes.retention === "time") {
    refuse("overflow", "only a topic of retention acknowledged has one");
  }
  return changes;
}

function parseSettings(map: Readonly<Record<string, unknown>>): TopicConfig {
  for (const name of Object.keys(map)) {
    if (!NAMES.has(name)) refuse(name, "there is no such setting");
  }
  const config: { -readonly [Name in keyof TopicConfig]: TopicConfig[Name] } = {};
  const { partitions, retentionMs, retentionBytes, durability, retention, overflow } = map;
  if (partitions !== undefined) {
    if (!isCount(partitions) || partitions > LIMITS.partitionsMax) {
      refuse("partitions", `it is an integer of 1..${LIMITS.partitionsMax}`);
    }
    config.partitions = partitions;
  }
  if (retentionMs !== undefined) {
    if (retentionMs !== null && !isCount(retentionMs))
      refuse("retentionMs", "it is a positive integer or nil");
    config.retentionMs = retentionMs;
  }
  if (retentionBytes !== undefined) {
    if (retentionBytes !== null && !isCount(retentionBytes)) {
      refuse("retentionBytes", "it is a positive integer or nil");
    }
    config.retentionBytes = retentionBytes;
  }
  if (durability !== undefined) {
    if (!isDurability(durability)) refuse("durability", "it is memory, written or fsynced");
    config.durability = durability;
  }
  if (retention !== undefined) {
    if (!isTopicRetention(retention)) refuse("retention", "it is time or acknowledged");
    config.retention = retention;
  }
  if (overflow !== undefined) {
    if (!isTopicOverflow(overflow)) refuse("overflow", "it is refuse or dead-letter");
    config.overflow = overflow;
  }
  return config;
}

export function isTopicRetention(value: unknown): value is TopicRetention {
  return value === "time" || value === "acknowledged";
}

export function isTopicOverflow(value: unknown): value is TopicOverflow {
  return value === "refuse" || value === "dead-letter";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function refuse(setting: string, rule: string): never {
  throw new MillraceError("INVALID_TOPIC_CONFIG", `topic setting ${setting}: ${rule}`, {
    details: { setting },
  });
}
