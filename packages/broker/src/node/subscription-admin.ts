import { MillraceError } from "@millrace/protocol";
import type {
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { CatalogChange } from "./catalog-change.ts";
import type { GroupAdmin } from "./group-admin.ts";
import { openingOf } from "./subscription-opening.ts";
import type { CatalogAdminContext, TopicAdmin } from "./topic-admin.ts";
import { shardsOf } from "./topic-shards.ts";

/**
 * How subscriptions are made, altered, moved and deleted: shard 0 writes the catalog, the nodes keep copies of it, and each
 * shard holds the positions in its partitions. At one node at a time, the coordinator. The node's thread only.
 */
export class SubscriptionAdmin {
  readonly #context: CatalogAdminContext;
  readonly #topics: TopicAdmin;
  readonly #groups: GroupAdmin;
  /** Those that are being made, by their source. */
  readonly #deadLetterTopics: Map<number, Promise<Topic>> = new Map();
  /** In the catalog perhaps, but not in all their shards yet. By topic and name. */
  readonly #making: Map<string, Promise<Subscription>> = new Map();

  constructor(context: CatalogAdminContext, topics: TopicAdmin, groups: GroupAdmin) {
    this.#context = context;
    this.#topics = topics;
    this.#groups = groups;
  }

  /** Whether somebody is making it at the moment. */
  isMaking({ topicId, name }: Subscription): boolean {
    return this.#making.has(`${topicId}/${name}`);
  }

  async create(
    topicId: number,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    const key = `${topicId}/${name}`;
    // Whoever comes second finds it made, or makes it.
    for (let other = this.#making.get(key); other !== undefined; other = this.#making.get(key)) {
      await other.catch(() => {});
    }
    const made = this.#create(topicId, name, config, starts);
    this.#making.set(key, made);
    try {
      return await made;
    } finally {
      this.#making.delete(key);
    }
  }

  async #create(
    topicId: number,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    const { ask, write, insist, log } = this.#context;
    // Known from the answer on, also to a shard that restarts then: what it has of it already stays.
    const subscription = await write("createSubscription", [topicId, name, config], changed);
    const { subscriptionId, mode } = subscription;
    let made = subscription;
    try {
      const topic = this.#topic(topicId);
      const opening = openingOf(subscription, topic.name);
      await Promise.all(
        [...shardsOf(topic)].map(([shardId, partitions]) => {
          const own = starts.filter(([partition]) => partitions.includes(partition));
          return insist(() => {
            // It may be deleted while a shard is away.
            this.#existing(subscription);
            return ask(shardId, "subscribe", [opening, own]);
          });
        }),
      );
      made = await write("alterSubscription", [subscriptionId, {}], changed);
    } catch (error) {
      // A shard that restarts would begin at the end: better none than one that begins elsewhere than it was told. A node
      // that does not come to it finds at its start that it is still opening.
      await this.delete(subscriptionId).catch(() => {});
      throw error;
    }
    log("subscription-created", {
      topic: this.#context.catalog.byId(topicId)?.name,
      subscription: name,
      subscriptionId,
      mode,
    });
    return made;
  }

  alter(subscriptionId: number, changes: SubscriptionChanges): Promise<Subscription> {
    return this.#alter(subscriptionId, changes);
  }

  async delete(subscriptionId: number): Promise<Subscription> {
    const { catalog, ask, write, tell } = this.#context;
    const { subscription, catalogPosition } = await write("deleteSubscription", [subscriptionId], () => {
      return { kind: "subscription-deleted", subscriptionId };
    });
    // Gone with its topic otherwise.
    const shards = catalog.byId(subscription.topicId)?.shards ?? [];
    await Promise.all(
      [...new Set(shards)].map((shardId) => tell(() => ask(shardId, "unsubscribe", [subscriptionId]))),
    );
    return { ...subscription, catalogPosition };
  }

  async seek(subscriptionId: number, starts: SubscriptionStarts): Promise<void> {
    const { ask } = this.#context;
    const subscription = this.#made(subscriptionId);
    await Promise.all(
      this.#shards(subscription).map(async ([shardId, partitions]) => {
        const own = starts.filter(([partition]) => partitions.includes(partition));
        if (own.length > 0) await ask(shardId, "seek", [subscriptionId, own]);
      }),
    );
    await this.#sought(subscription);
  }

  async seekToSnapshot(subscriptionId: number, snapshot: string): Promise<void> {
    const { ask } = this.#context;
    const subscription = this.#made(subscriptionId);
    if (!subscription.snapshots.includes(snapshot)) throw unknownSnapshot(subscription, snapshot);
    await Promise.all(
      this.#shards(subscription).map(([shardId]) =>
        ask(shardId, "seekToSnapshot", [subscriptionId, snapshot]),
      ),
    );
    await this.#sought(subscription);
  }

  /** The catalog names a snapshot only while every shard has its part. */
  async snapshot(
    subscriptionId: number,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    const { ask, tell } = this.#context;
    const subscription = this.#made(subscriptionId);
    const { snapshots } = subscription;
    const others = snapshots.filter((name) => name !== snapshot);
    if (action === "create") {
      await this.#askAll(subscription, (shardId) =>
        ask(shardId, "snapshot", [subscriptionId, snapshot, action]),
      );
      return this.#alter(subscriptionId, { snapshots: [...others, snapshot] });
    }
    if (others.length === snapshots.length) throw unknownSnapshot(subscription, snapshot);
    const altered = await this.#alter(subscriptionId, { snapshots: others });
    await this.#askAll(subscription, (shardId) =>
      tell(() => ask(shardId, "snapshot", [subscriptionId, snapshot, action])),
    );
    return altered;
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

  async #alter(
    subscriptionId: number,
    changes: SubscriptionChanges & { readonly snapshots?: readonly string[] },
  ): Promise<Subscription> {
    const { ask, write, tell } = this.#context;
    const altered = await write("alterSubscription", [subscriptionId, changes], changed);
    const topic = this.#topic(altered.topicId);
    const opening = openingOf(altered, topic.name);
    await this.#askAll(altered, (shardId) => tell(() => ask(shardId, "configureSubscription", [opening])));
    return altered;
  }

  async #sought(subscription: Subscription): Promise<void> {
    await this.#groups.reset(subscription, false);
    this.#context.publish({ kind: "sought", subscriptionId: subscription.subscriptionId });
  }

  async #askAll(subscription: Subscription, ask: (shardId: number) => Promise<unknown>): Promise<void> {
    await Promise.all(this.#shards(subscription).map(([shardId]) => ask(shardId)));
  }

  /** As it is now: what the caller knew may have been altered since. */
  #made(subscriptionId: number): Subscription {
    const found = this.#context.catalog.subscriptionById(subscriptionId);
    if (found !== undefined && found.isOpening !== true) return found;
    throw new MillraceError(
      "UNKNOWN_SUBSCRIPTION",
      `no such subscription: subscriptionId=${subscriptionId}`,
      { details: { subscriptionId } },
    );
  }

  #existing({ subscriptionId, name }: Subscription): void {
    if (this.#context.catalog.subscriptionById(subscriptionId) !== undefined) return;
    throw new MillraceError("SUBSCRIPTION_DELETED", `subscription ${name} was deleted while it was made`, {
      details: { subscription: name },
    });
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
}

function changed(subscription: Subscription): CatalogChange {
  return { kind: "subscription", subscription };
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
