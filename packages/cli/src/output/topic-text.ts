import type { Topic, TopicDescription, TruncatedPartition } from "@millrace/client";
import { textTable } from "./text-table.ts";
import { byteLimitText, durationText, roundedSizeText } from "./unit-text.ts";

/** The lines of `topic list`: one row a topic, sorted by name. */
export function topicListText(topics: readonly Topic[]): string[] {
  return textTable(
    ["TOPIC", "PARTITIONS", "RETENTION", "RETENTION BYTES", "DURABILITY"],
    topics.map((topic) => [
      topic.name,
      topic.partitions,
      durationText(topic.retentionMs),
      byteLimitText(topic.retentionBytes),
      topic.durability,
    ]),
  );
}

/** The lines of `topic describe`: the settings, then one row a partition. */
export function topicDescriptionText(topic: TopicDescription): string[] {
  const settings: readonly (readonly [string, string])[] = [
    ["topic", topic.name],
    ["topic id", String(topic.topicId)],
    ["partitions", String(topic.partitions)],
    ["retention", durationText(topic.retentionMs)],
    ["retention bytes", byteLimitText(topic.retentionBytes)],
    ["retention policy", topic.retention ?? "time"],
    ...(topic.retention === "acknowledged" ? [["overflow", topic.overflow ?? "refuse"] as const] : []),
    ["durability", topic.durability],
    ["created", new Date(topic.createdMs).toISOString()],
  ];
  const partitions = textTable(
    ["PARTITION", "SHARD", "LOG START", "HIGH WATERMARK", "RECORDS", "RETAINED", "LOG EPOCH"],
    topic.partitionInfo.map((info) => [
      info.partition,
      info.shard,
      info.logStartOffset,
      info.highWatermark,
      info.highWatermark - info.logStartOffset,
      roundedSizeText(info.retainedBytes),
      info.logEpoch,
    ]),
  );
  return [...settings.map(([name, value]) => `${name.padEnd(17)}${value}`), "", ...partitions];
}

/** The lines of `topic truncate`: one row a partition, with what it holds now. */
export function truncatedText(partitions: readonly TruncatedPartition[]): string[] {
  return textTable(
    ["PARTITION", "LOG START", "HIGH WATERMARK", "RECORDS"],
    partitions.map(({ partition, logStartOffset, highWatermark }) => [
      partition,
      logStartOffset,
      highWatermark,
      highWatermark - logStartOffset,
    ]),
  );
}
