import { offsetOutOfRange } from "../offset-out-of-range.ts";
import type { BoundsRow } from "../shard/topic-requests.ts";
import type { PartitionBounds, Topic } from "../topic.ts";
import type { AskShard } from "./catalog-changes.ts";

export interface TopicShardsContext {
  readonly ask: AskShard;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

/** What any node asks the shards of a topic, wherever they are. The node's thread only. */
export class TopicShards {
  readonly #context: TopicShardsContext;

  constructor(context: TopicShardsContext) {
    this.#context = context;
  }

  async bounds(topic: Topic, partitions: readonly number[]): Promise<PartitionBounds[]> {
    return this.#ofShards(topic, partitions, (shardId, list) =>
      this.#context.ask(shardId, "bounds", [topic.topicId, list]),
    );
  }

  async truncate(
    topic: Topic,
    starts: readonly (readonly [partition: number, offset: number])[],
  ): Promise<PartitionBounds[]> {
    const offsets = new Map(starts);
    const partitions = [...offsets.keys()];
    // All or none, over all shards: ends of logs do not go back, so what is checked now will hold.
    for (const bounds of await this.bounds(topic, partitions)) {
      const offset = offsets.get(bounds.partition) as number;
      if (offset > bounds.highWatermark) throw offsetOutOfRange(topic.topicId, bounds, offset);
    }
    const truncated = await this.#ofShards(topic, partitions, (shardId, list) =>
      this.#context.ask(shardId, "truncate", [
        topic.topicId,
        list.map((partition) => [partition, offsets.get(partition) as number] as const),
      ]),
    );
    const { name, topicId } = topic;
    this.#context.log("topic-truncated", {
      topic: name,
      topicId,
      logStartOffsets: truncated.map(({ partition, logStartOffset }) => [partition, logStartOffset]),
    });
    return truncated;
  }

  async offsetForTime(topic: Topic, partition: number, timeMs: number): Promise<number> {
    // What is below the start of the log may still be found in its files.
    const [offset, [bounds]] = await Promise.all([
      this.#context.ask(topic.shards[partition] as number, "time", [topic.topicId, partition, timeMs]),
      this.bounds(topic, [partition]),
    ]);
    return Math.max(offset, bounds?.logStartOffset ?? 0);
  }

  /** Asks each shard about its part of the partitions. @returns the answers in the order of `partitions` */
  async #ofShards(
    topic: Topic,
    partitions: readonly number[],
    ask: (shardId: number, partitions: readonly number[]) => Promise<readonly BoundsRow[]>,
  ): Promise<PartitionBounds[]> {
    const found = new Map<number, PartitionBounds>();
    await Promise.all(
      [...byShard(topic, partitions)].map(async ([shardId, list]) => {
        const rows = await ask(shardId, list);
        rows.forEach(([logStartOffset, highWatermark, logEpoch, retainedBytes, restores], i) => {
          const partition = list[i] as number;
          const bounds = { partition, logStartOffset, highWatermark, logEpoch, retainedBytes };
          found.set(partition, restores === undefined ? bounds : { ...bounds, restores });
        });
      }),
    );
    return partitions.map((partition) => found.get(partition) as PartitionBounds);
  }
}

/** All partitions of a topic, by the shard that holds them. */
export function shardsOf(topic: Topic): Map<number, number[]> {
  return byShard(topic, [...topic.shards.keys()]);
}

function byShard(topic: Topic, partitions: readonly number[]): Map<number, number[]> {
  const lists = new Map<number, number[]>();
  for (const partition of partitions) {
    const shardId = topic.shards[partition] as number;
    const list = lists.get(shardId);
    if (list === undefined) lists.set(shardId, [partition]);
    else list.push(partition);
  }
  return lists;
}
