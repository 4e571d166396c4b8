import { MillraceError } from "@millrace/protocol";
import { offsetOutOfRange } from "../offset-out-of-range.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { BoundsRow } from "../shard/topic-requests.ts";
import type { PartitionBounds, Topic, TopicChanges, TopicConfig } from "../topic.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { GatewayHandler } from "./gateway-handler.ts";
import { openingsByShard, traitsOf } from "./placement.ts";

/** What the node lends to its topics' administration. */
export interface TopicAdminContext {
  readonly catalog: CatalogView;
  /** Rejects with what the shard refused, or SHARD_RESTARTED. */
  readonly ask: <K extends keyof ShardRequestMap>(
    shardId: number,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ) => Promise<ShardRequestMap[K]["reply"]>;
  /** The gateway that is told of topics that come and go. */
  readonly handler: () => GatewayHandler | undefined;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

/**
 * Topics as their owners see them: made, asked about and deleted. Shard 0 writes the catalog, the node keeps a
 * copy of it, and each shard holds its partitions. The node's thread only.
 */
export class TopicAdmin {
  readonly #context: TopicAdminContext;

  constructor(context: TopicAdminContext) {
    this.#context = context;
  }

  async create(name: string, config: TopicConfig): Promise<Topic> {
    const { catalog, ask, handler } = this.#context;
    const topic = await ask(0, "createTopic", [name, config]);
    // Known from here on, also to a shard that restarts now: reconciliation opens what the opening below misses.
    catalog.add(topic);
    await this.#open(topic);
    handler()?.onTopicCreated(topic);
    return topic;
  }

  /** Makes the topic for the dead letters of this one, or finds it. */
  async createDeadLetterTopic(sourceTopicId: number): Promise<Topic> {
    const { catalog, ask, handler, log } = this.#context;
    const { topic, created } = await ask(0, "createDeadLetterTopic", [sourceTopicId]);
    if (!created) return topic;
    catalog.add(topic);
    await this.#open(topic);
    log("dead-letter-topic-created", { topic: topic.name, topicId: topic.topicId, sourceTopicId });
    handler()?.onTopicCreated(topic);
    return topic;
  }

  async #open(topic: Topic): Promise<void> {
    await Promise.all(
      openingsByShard(topic).map(([shardId, openings]) =>
        unlessRestarted(this.#context.ask(shardId, "open", [openings, [traitsOf(topic)]])),
      ),
    );
  }

  async alter(name: string, changes: TopicChanges): Promise<Topic> {
    const { catalog, ask, log } = this.#context;
    const topic = await ask(0, "alterTopic", [name, changes]);
    // As in create().
    catalog.add(topic);
    await Promise.all(
      openingsByShard(topic).map(([shardId, openings]) =>
        unlessRestarted(ask(shardId, "configure", [openings, [traitsOf(topic)]])),
      ),
    );
    const { topicId, retentionMs, retentionBytes, durability } = topic;
    log("topic-altered", { topic: name, topicId, retentionMs, retentionBytes, durability });
    return topic;
  }

  async delete(name: string): Promise<Topic> {
    const { ask } = this.#context;
    const { topic, catalogPosition } = await ask(0, "deleteTopic", [name]);
    await this.#close(topic);
    return { ...topic, catalogPosition };
  }

  /** Shard 0 was lost: what it had written and not answered, the node learns from the catalog. */
  async adopt(found: CatalogView): Promise<void> {
    const { catalog, handler } = this.#context;
    for (const topic of [...catalog.topics()]) {
      if (found.byId(topic.topicId) === undefined) await this.#close(topic);
    }
    for (const topic of found.topics()) {
      const known = catalog.byId(topic.topicId);
      if (known?.catalogPosition === topic.catalogPosition) continue;
      catalog.add(topic);
      await this.#open(topic);
      if (known === undefined) handler()?.onTopicCreated(topic);
    }
  }

  async #close(topic: Topic): Promise<void> {
    const { catalog, ask, handler } = this.#context;
    catalog.remove(topic);
    handler()?.onTopicDeleted(topic);
    await Promise.all(
      [...new Set(topic.shards)].map((shardId) => unlessRestarted(ask(shardId, "close", [topic.topicId]))),
    );
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

/** A shard that restarts meanwhile, or is repaired some time, learns the same from the catalog: reconciliation makes it so. */
export async function unlessRestarted(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code !== "SHARD_RESTARTED" && error.code !== "JOURNAL_FAILED") throw error;
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
