import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import type {
  AcquiredPartition,
  CursorCommit,
  CursorOutcome,
  PeekedRecord,
  RedriveRow,
  Subscription,
  SubscriptionPartitionState,
} from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { AskShard } from "./catalog-changes.ts";
import type { CatalogView } from "./catalog-view.ts";
import { shardsOf } from "./topic-shards.ts";

export interface SubscriptionShardsContext {
  readonly catalog: CatalogView;
  readonly ask: AskShard;
}

/** What any node asks the shards that hold the positions of a subscription. The node's thread only. */
export class SubscriptionShards {
  readonly #context: SubscriptionShardsContext;

  constructor(context: SubscriptionShardsContext) {
    this.#context = context;
  }

  async state(subscription: Subscription): Promise<SubscriptionPartitionState[]> {
    const { subscriptionId } = subscription;
    const rows = await Promise.all(
      [...shardsOf(this.#topic(subscription.topicId))].map(([shardId]) =>
        this.#context.ask(shardId, "subscriptionState", [subscriptionId]),
      ),
    );
    return rows
      .flat()
      .sort(([left], [right]) => left - right)
      .map(
        ([
          partition,
          position,
          logStartOffset,
          highWatermark,
          available,
          leased,
          waiting,
          redelivered,
          dead,
          oldestAgeMs,
          blockedOffset,
        ]) => ({
          partition,
          position,
          logStartOffset,
          highWatermark,
          available,
          leased,
          waiting,
          redelivered,
          dead,
          oldestAgeMs: oldestAgeMs < 0 ? null : oldestAgeMs,
          blockedOffset: blockedOffset < 0 ? null : blockedOffset,
        }),
      );
  }

  async peek(
    { topicId, subscriptionId }: Subscription,
    partition: number,
    fromOffset: number,
    limit: number,
  ): Promise<PeekedRecord[]> {
    const shardId = this.#shardOf(this.#topic(topicId), partition);
    return this.#context.ask(shardId, "peek", [subscriptionId, partition, fromOffset, limit]);
  }

  async deadLetters(topic: Topic, partition: number, fromOffset: number, limit: number): Promise<number[]> {
    const shardId = this.#shardOf(topic, partition);
    return this.#context.ask(shardId, "deadLetters", [topic.topicId, partition, fromOffset, limit]);
  }

  async redrive(topic: Topic, rows: readonly RedriveRow[]): Promise<number> {
    const counts = await Promise.all(
      [...shardsOf(topic)].map(([shardId, partitions]) => {
        const own = rows.filter(([partition]) => partitions.includes(partition));
        return own.length === 0 ? 0 : this.#context.ask(shardId, "redrive", [topic.topicId, own]);
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async acquire(
    subscription: Subscription,
    rows: readonly (readonly [partition: number, assignmentEpoch: number])[],
  ): Promise<AcquiredPartition[]> {
    const { subscriptionId } = subscription;
    return this.#ofShards(subscription, rows, async (shardId, own) =>
      (await this.#context.ask(shardId, "acquire", [subscriptionId, own])).map(
        ([partition, refused, offset, cursorLogEpoch, logStartOffset, highWatermark, logEpoch]) => ({
          partition,
          refused,
          offset,
          cursorLogEpoch,
          logStartOffset,
          highWatermark,
          logEpoch,
        }),
      ),
    );
  }

  async commitCursors(subscription: Subscription, rows: readonly CursorCommit[]): Promise<CursorOutcome[]> {
    const { subscriptionId } = subscription;
    return this.#ofShards(subscription, rows, async (shardId, own) => {
      const outcomes = await this.#outcomes(
        this.#context.ask(shardId, "commitCursors", [subscriptionId, own]),
        own.length,
      );
      return own.map(([partition, , offset], i) => [partition, offset, outcomes[i] as number] as const);
    });
  }

  /** One shard that cannot answer is no reason to hide the answers of the others. */
  async #outcomes(answer: Promise<number[]>, count: number): Promise<number[]> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      return new Array<number>(count).fill(ERROR_CODES[error.code].code);
    }
  }

  /** Asks each shard about its rows. @returns the answers in the order of `rows` */
  async #ofShards<Row extends readonly [partition: number, ...rest: unknown[]], Answer>(
    subscription: Subscription,
    rows: readonly Row[],
    ask: (shardId: number, rows: readonly Row[]) => Promise<readonly Answer[]>,
  ): Promise<Answer[]> {
    const topic = this.#topic(subscription.topicId);
    const answers = new Array<Answer>(rows.length);
    const places = new Map<number, number[]>();
    rows.forEach(([partition], i) => {
      const shardId = this.#shardOf(topic, partition);
      const list = places.get(shardId);
      if (list === undefined) places.set(shardId, [i]);
      else list.push(i);
    });
    await Promise.all(
      [...places].map(async ([shardId, list]) => {
        const found = await ask(
          shardId,
          list.map((i) => rows[i] as Row),
        );
        list.forEach((i, n) => {
          answers[i] = found[n] as Answer;
        });
      }),
    );
    return answers;
  }

  #topic(topicId: number): Topic {
    const topic = this.#context.catalog.byId(topicId);
    if (topic === undefined)
      throw new MillraceError("TOPIC_DELETED", `the topic was deleted: topicId=${topicId}`);
    return topic;
  }

  #shardOf(topic: Topic, partition: number): number {
    const shardId = topic.shards[partition];
    if (shardId === undefined) {
      throw new MillraceError(
        "UNKNOWN_PARTITION",
        `no such partition: topic=${topic.name} partition=${partition}`,
        {
          details: { topic: topic.name, partition },
        },
      );
    }
    return shardId;
  }
}
