import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import type { SubscriptionOpening } from "../shard/subscription-requests.ts";
import {
  type AcquiredPartition,
  type CursorCommit,
  type CursorOutcome,
  type PeekedRecord,
  type RedriveRow,
  SUBSCRIPTION_MODES,
  type Subscription,
  type SubscriptionChanges,
  type SubscriptionConfig,
  type SubscriptionPartitionState,
  type SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { GroupAdmin } from "./group-admin.ts";
import { shardsOf, type TopicAdmin, type TopicAdminContext, unlessRestarted } from "./topic-admin.ts";

/**
 * Subscriptions as their owners see them. Shard 0 writes the catalog, the node keeps a copy of it, and each shard holds the
 * positions in its partitions. The node's thread only.
 */
export class SubscriptionAdmin {
  readonly #context: TopicAdminContext;
  readonly #topics: TopicAdmin;
  readonly #groups: GroupAdmin;
  /** Those that are being made, by their source. */
  readonly #deadLetterTopics: Map<number, Promise<Topic>> = new Map();

  /** In the catalog, but not in all their shards yet: nobody is told of them. By topic and name, and by id. */
  readonly #making: Map<string, Promise<Subscription>> = new Map();
  readonly #unfinished: Set<number> = new Set();

  constructor(context: TopicAdminContext, topics: TopicAdmin, groups: GroupAdmin) {
    this.#context = context;
    this.#topics = topics;
    this.#groups = groups;
  }

  /** Whether it is there in full. */
  isMade({ subscriptionId }: Subscription): boolean {
    return !this.#unfinished.has(subscriptionId);
  }

  async create(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    const key = `${topic.topicId}/${name}`;
    // Whoever comes second finds it made, or makes it.
    for (let other = this.#making.get(key); other !== undefined; other = this.#making.get(key)) {
      await other.catch(() => {});
    }
    const made = this.#create(topic, name, config, starts);
    this.#making.set(key, made);
    try {
      return await made;
    } finally {
      this.#making.delete(key);
    }
  }

  async #create(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    const { catalog, ask, log } = this.#context;
    const subscription = await ask(0, "createSubscription", [topic.topicId, name, config]);
    // Known from here on, also to a shard that restarts now: what it has of it already stays.
    catalog.addSubscription(subscription);
    this.#unfinished.add(subscription.subscriptionId);
    const opening = openingOf(subscription, topic.name);
    let made = subscription;
    try {
      await Promise.all(
        [...shardsOf(topic)].map(([shardId, partitions]) => {
          const own = starts.filter(([partition]) => partitions.includes(partition));
          return ask(shardId, "subscribe", [opening, own]);
        }),
      );
      made = await ask(0, "alterSubscription", [subscription.subscriptionId, {}]);
      catalog.addSubscription(made);
    } catch (error) {
      // A shard that restarts would begin at the end: better none than one that begins elsewhere than it was told. A node
      // that does not come to it finds at its start that it is still opening.
      await this.delete(subscription).catch(() => {});
      throw error;
    } finally {
      this.#unfinished.delete(subscription.subscriptionId);
    }
    const { subscriptionId, mode } = subscription;
    log("subscription-created", { topic: topic.name, subscription: name, subscriptionId, mode });
    return made;
  }

  async alter({ subscriptionId }: Subscription, changes: SubscriptionChanges): Promise<Subscription> {
    const altered = await this.#context.ask(0, "alterSubscription", [subscriptionId, changes]);
    return this.#altered(altered);
  }

  async delete({ subscriptionId }: Subscription): Promise<Subscription> {
    const { ask } = this.#context;
    const { subscription, catalogPosition } = await ask(0, "deleteSubscription", [subscriptionId]);
    await this.#forget(subscription);
    return { ...subscription, catalogPosition };
  }

  /** As TopicAdmin.adopt, and behind it. What was never made in full is dropped, as at a start of the node. */
  async adopt(found: CatalogView): Promise<void> {
    const { catalog, ask } = this.#context;
    for (const subscription of [...catalog.subscriptions()]) {
      if (found.subscriptionById(subscription.subscriptionId) === undefined) await this.#forget(subscription);
    }
    for (const subscription of found.subscriptions()) {
      const known = catalog.subscriptionById(subscription.subscriptionId);
      if (known?.catalogPosition === subscription.catalogPosition) continue;
      if (known !== undefined) {
        await this.#altered(subscription);
        continue;
      }
      if (subscription.isOpening) {
        await unlessRestarted(ask(0, "deleteSubscription", [subscription.subscriptionId]));
        continue;
      }
      catalog.addSubscription(subscription);
      const opening = openingOf(subscription, this.#topic(subscription.topicId).name);
      await this.#askAll(subscription, (shardId) =>
        unlessRestarted(ask(shardId, "subscribe", [opening, []])),
      );
    }
  }

  async #forget(subscription: Subscription): Promise<void> {
    const { catalog, ask, handler } = this.#context;
    const { subscriptionId } = subscription;
    catalog.removeSubscription(subscription);
    handler()?.onSubscriptionDeleted(subscription);
    await this.#askAll(subscription, (shardId) =>
      unlessRestarted(ask(shardId, "unsubscribe", [subscriptionId])),
    );
  }

  async state(subscription: Subscription): Promise<SubscriptionPartitionState[]> {
    const { subscriptionId } = subscription;
    const rows = await Promise.all(
      this.#shards(subscription).map(([shardId]) =>
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

  async seek(subscription: Subscription, starts: SubscriptionStarts): Promise<void> {
    const { ask, handler } = this.#context;
    const { subscriptionId } = subscription;
    await Promise.all(
      this.#shards(subscription).map(async ([shardId, partitions]) => {
        const own = starts.filter(([partition]) => partitions.includes(partition));
        if (own.length > 0) await ask(shardId, "seek", [subscriptionId, own]);
      }),
    );
    await this.#groups.reset(subscription, false);
    handler()?.onSubscriptionChanged(subscription, true);
  }

  async seekToSnapshot(subscription: Subscription, snapshot: string): Promise<void> {
    const { ask, handler } = this.#context;
    const { subscriptionId } = subscription;
    if (!this.#latest(subscription).snapshots.includes(snapshot))
      throw unknownSnapshot(subscription, snapshot);
    await Promise.all(
      this.#shards(subscription).map(([shardId]) =>
        ask(shardId, "seekToSnapshot", [subscriptionId, snapshot]),
      ),
    );
    await this.#groups.reset(subscription, false);
    handler()?.onSubscriptionChanged(subscription, true);
  }

  /** The catalog names a snapshot only while every shard has its part. */
  async snapshot(
    subscription: Subscription,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    const { ask } = this.#context;
    const { subscriptionId } = subscription;
    const { snapshots } = this.#latest(subscription);
    const others = snapshots.filter((name) => name !== snapshot);
    if (action === "create") {
      await this.#askAll(subscription, (shardId) =>
        ask(shardId, "snapshot", [subscriptionId, snapshot, action]),
      );
      return this.#altered(
        await ask(0, "alterSubscription", [subscriptionId, { snapshots: [...others, snapshot] }]),
      );
    }
    if (others.length === snapshots.length) throw unknownSnapshot(subscription, snapshot);
    const altered = this.#altered(await ask(0, "alterSubscription", [subscriptionId, { snapshots: others }]));
    await this.#askAll(subscription, (shardId) =>
      unlessRestarted(ask(shardId, "snapshot", [subscriptionId, snapshot, action])),
    );
    return altered;
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

  /** Shards ask again and again until there is one, and each for itself. */
  createDeadLetterTopic(sourceTopicId: number): Promise<Topic> {
    let pending = this.#deadLetterTopics.get(sourceTopicId);
    if (pending === undefined) {
      pending = this.#topics.createDeadLetterTopic(sourceTopicId).finally(() => {
        this.#deadLetterTopics.delete(sourceTopicId);
      });
      this.#deadLetterTopics.set(sourceTopicId, pending);
    }
    return pending;
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

  #altered(subscription: Subscription): Promise<Subscription> {
    const { catalog, handler, ask } = this.#context;
    catalog.addSubscription(subscription);
    handler()?.onSubscriptionChanged(subscription, false);
    const opening = openingOf(subscription, this.#topic(subscription.topicId).name);
    return this.#askAll(subscription, (shardId) =>
      unlessRestarted(ask(shardId, "configureSubscription", [opening])),
    ).then(() => subscription);
  }

  async #askAll(subscription: Subscription, ask: (shardId: number) => Promise<unknown>): Promise<void> {
    await Promise.all(this.#shards(subscription).map(([shardId]) => ask(shardId)));
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

  /** What the caller has may have been altered since. */
  #latest(subscription: Subscription): Subscription {
    return this.#context.catalog.subscriptionById(subscription.subscriptionId) ?? subscription;
  }

  #shards({ topicId }: Subscription): [number, number[]][] {
    return [...shardsOf(this.#topic(topicId))];
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

/** What shards are told of a subscription. */
export function openingOf(subscription: Subscription, topicName: string): SubscriptionOpening {
  const { subscriptionId, topicId, mode, leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs } = subscription;
  return [
    subscriptionId,
    topicId,
    SUBSCRIPTION_MODES.indexOf(mode),
    leaseMs,
    maxDeliveries,
    backoffMinMs,
    backoffMaxMs,
    subscription.paused,
    subscription.name,
    topicName,
    subscription.snapshots,
  ];
}

function unknownSnapshot({ name }: Subscription, snapshot: string): MillraceError {
  return new MillraceError(
    "UNKNOWN_SNAPSHOT",
    `no such snapshot: subscription=${name} snapshot=${snapshot}`,
    {
      details: { subscription: name, snapshot },
    },
  );
}
