import { availableParallelism } from "node:os";
import type { PartitionOpening } from "../shard/topic-requests.ts";
import {
  OVERFLOW_DEAD_LETTER,
  OVERFLOW_NONE,
  OVERFLOW_REFUSE,
  type TopicTraits,
} from "../shard/topic-traits.ts";
import { DURABILITIES, type Topic } from "../topic.ts";

/** The partitions of a topic, by the shard that holds them. */
export function openingsByShard(topic: Topic): [number, PartitionOpening[]][] {
  const byShard = new Map<number, PartitionOpening[]>();
  const durability = DURABILITIES.indexOf(topic.durability);
  // A small bound for many partitions is not to become none.
  const retentionShareBytes =
    topic.retentionBytes === 0 ? 0 : Math.max(1, Math.floor(topic.retentionBytes / topic.partitions));
  topic.shards.forEach((shardId, partition) => {
    const opening: PartitionOpening = [
      topic.topicId,
      partition,
      durability,
      topic.retentionMs,
      retentionShareBytes,
    ];
    const list = byShard.get(shardId);
    if (list === undefined) byShard.set(shardId, [opening]);
    else list.push(opening);
  });
  return [...byShard];
}

/** What is special about a topic. */
export function traitsOf({ topicId, retention, overflow, deadLetterOf = 0 }: Topic): TopicTraits {
  if (retention !== "acknowledged") return [topicId, OVERFLOW_NONE, deadLetterOf];
  return [topicId, overflow === "dead-letter" ? OVERFLOW_DEAD_LETTER : OVERFLOW_REFUSE, deadLetterOf];
}

/** Shards of a data folder that is made without saying how many: it is fixed then, so never just one. */
export function defaultShards(): number {
  return Math.min(64, Math.max(2, availableParallelism()));
}

/** Threads that host the shards: what the machine has beside the gateway, unless told otherwise. */
export function shardThreadCount(asked: number | undefined, shards: number): number {
  const threads = asked ?? Math.max(1, availableParallelism() - 1);
  return Math.max(1, Math.min(threads, shards));
}
