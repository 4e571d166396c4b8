import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { PartitionOpening } from "../shard/topic-requests.ts";
import type { Topic, TopicChanges, TopicConfig } from "../topic.ts";
import type { CatalogChange } from "./catalog-change.ts";
import type { AskShard } from "./catalog-changes.ts";
import type { CatalogView } from "./catalog-view.ts";
import { openingsByShard, traitsOf } from "./placement.ts";

/** What the coordinator of the catalog lends to those who change it. */
export interface CatalogAdminContext {
  readonly catalog: CatalogView;
  /** Rejects with what the shard refused, or SHARD_RESTARTED. */
  readonly ask: AskShard;
  /**
   * Shard 0 writes to the catalog; all nodes are told of it, and the copy of this one has it, before the promise is
   * resolved. Changes are told in the order in which shard 0 has committed them.
   */
  readonly write: <K extends CatalogWrite>(
    kind: K,
    args: ShardRequestMap[K]["args"],
    changeOf: (reply: ShardRequestMap[K]["reply"]) => CatalogChange | undefined,
  ) => Promise<ShardRequestMap[K]["reply"]>;
  /** Tells all nodes of what is no record of the catalog. */
  readonly publish: (change: CatalogChange) => void;
  /**
   * Tells a shard what follows from the catalog. Resolves when it has answered, or will learn it from the catalog by itself: it
   * restarts, or is out of service. `ask` may be called several times.
   */
  readonly tell: (ask: () => Promise<unknown>) => Promise<void>;
  /** Asks a shard for what only its answer makes sure of; `ask` may be called several times. */
  readonly insist: <T>(ask: () => Promise<T>) => Promise<T>;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

/** Requests to shard 0 that write to the catalog. */
export type CatalogWrite =
  | "createTopic"
  | "createDeadLetterTopic"
  | "alterTopic"
  | "deleteTopic"
  | "createSubscription"
  | "alterSubscription"
  | "deleteSubscription";

/**
 * How topics are made, altered and deleted: shard 0 writes the catalog, the nodes keep copies of it, and each shard holds its
 * partitions. At one node at a time, the coordinator. The node's thread only.
 */
export class TopicAdmin {
  readonly #context: CatalogAdminContext;

  constructor(context: CatalogAdminContext) {
    this.#context = context;
  }

  async create(name: string, config: TopicConfig): Promise<Topic> {
    // Known from the answer on, also to a shard that restarts then: reconciliation opens what the opening below misses.
    const topic = await this.#context.write("createTopic", [name, config], (made) => newTopic(made));
    await this.finish(topic);
    return topic;
  }

  /** Makes the topic for the dead letters of this one, or finds it. */
  async createDeadLetterTopic(sourceTopicId: number): Promise<Topic> {
    const { write, log } = this.#context;
    const { topic, created } = await write("createDeadLetterTopic", [sourceTopicId], (made) =>
      made.created ? newTopic(made.topic) : undefined,
    );
    if (!created) return topic;
    await this.finish(topic);
    log("dead-letter-topic-created", { topic: topic.name, topicId: topic.topicId, sourceTopicId });
    return topic;
  }

  /** Opens a topic that stands in the catalog at all its shards; then clients may use it. */
  async finish(topic: Topic): Promise<void> {
    const { catalog, ask, tell, publish } = this.#context;
    const { topicId } = topic;
    const traits = [traitsOf(topic)];
    // It may be deleted while a shard is away: whoever is told of it after that would keep it for ever.
    const open = async (shardId: number, openings: readonly PartitionOpening[]): Promise<void> => {
      if (catalog.byId(topicId) !== undefined) await ask(shardId, "open", [openings, traits]);
    };
    try {
      await Promise.all(
        openingsByShard(topic).map(([shardId, openings]) => tell(() => open(shardId, openings))),
      );
    } finally {
      publish({ kind: "topic-made", topicId });
    }
  }

  async alter(name: string, changes: TopicChanges): Promise<Topic> {
    const { write, ask, tell, log } = this.#context;
    const topic = await write("alterTopic", [name, changes], (altered) => {
      return { kind: "topic", topic: altered, made: this.#context.catalog.isMade(altered.topicId) };
    });
    await Promise.all(
      openingsByShard(topic).map(([shardId, openings]) =>
        tell(() => ask(shardId, "configure", [openings, [traitsOf(topic)]])),
      ),
    );
    const { topicId, retentionMs, retentionBytes, durability } = topic;
    log("topic-altered", { topic: name, topicId, retentionMs, retentionBytes, durability });
    return topic;
  }

  async delete(name: string): Promise<Topic> {
    const { write, ask, tell } = this.#context;
    const { topic, catalogPosition } = await write("deleteTopic", [name], ({ topic: { topicId } }) => {
      return { kind: "topic-deleted", topicId };
    });
    await Promise.all(
      [...new Set(topic.shards)].map((shardId) => tell(() => ask(shardId, "close", [topic.topicId]))),
    );
    return { ...topic, catalogPosition };
  }
}

function newTopic(topic: Topic): CatalogChange {
  return { kind: "topic", topic, made: false };
}
