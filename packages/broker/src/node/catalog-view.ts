import type { Subscription } from "../subscription/subscription.ts";
import { compactTopic, type Topic } from "../topic.ts";

/** The node's copy of the catalog, for lookups on the gateway thread. Changed only by commits of shard 0. */
export class CatalogView {
  readonly #byName: Map<string, Topic> = new Map();
  readonly #byId: Map<number, Topic> = new Map();
  /** Topics that some of their shards may not have open yet. */
  readonly #unmade: Set<number> = new Set();
  readonly #subscriptionsById: Map<number, Subscription> = new Map();
  /** By topic, then by name; oldest first. */
  readonly #subscriptionsByTopic: Map<number, Map<string, Subscription>> = new Map();

  byName(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  byId(topicId: number): Topic | undefined {
    return this.#byId.get(topicId);
  }

  topics(): Iterable<Topic> {
    return this.#byName.values();
  }

  subscription(topicId: number, name: string): Subscription | undefined {
    return this.#subscriptionsByTopic.get(topicId)?.get(name);
  }

  subscriptionById(subscriptionId: number): Subscription | undefined {
    return this.#subscriptionsById.get(subscriptionId);
  }

  /** Those of one topic, or all. */
  subscriptions(topicId?: number): Iterable<Subscription> {
    if (topicId === undefined) return this.#subscriptionsById.values();
    return this.#subscriptionsByTopic.get(topicId)?.values() ?? [];
  }

  /** Takes over all topics, a part of them at a time; `page` gives none behind the last. */
  async load(page: (from: number) => Promise<readonly Topic[]>): Promise<void> {
    await eachOf(page, (topic) => this.add(topic));
  }

  /** Takes over all subscriptions, as `load` does topics. */
  async loadSubscriptions(page: (from: number) => Promise<readonly Subscription[]>): Promise<void> {
    await eachOf(page, (subscription) => this.addSubscription(subscription));
  }

  /** @param made whether its shards are known to have it open; one that is made stays so */
  add(given: Topic, made: boolean = true): void {
    const topic = compactTopic(given);
    if (made) this.#unmade.delete(topic.topicId);
    else if (!this.#byId.has(topic.topicId)) this.#unmade.add(topic.topicId);
    this.#byName.set(topic.name, topic);
    this.#byId.set(topic.topicId, topic);
  }

  /** Some of its shards may not have it open, as far as is known. */
  unmake({ topicId }: Topic): void {
    this.#unmade.add(topicId);
  }

  /** Whether all shards of the topic are known to have it open. */
  isMade(topicId: number): boolean {
    return !this.#unmade.has(topicId);
  }

  /** The same topic, unless it is unknown or not made. */
  made(topic: Topic | undefined): Topic | undefined {
    return topic === undefined || this.#unmade.has(topic.topicId) ? undefined : topic;
  }

  /** Its subscriptions go with it. */
  remove(topic: Topic): void {
    // The name may already belong to a younger topic.
    if (this.#byName.get(topic.name)?.topicId === topic.topicId) this.#byName.delete(topic.name);
    this.#byId.delete(topic.topicId);
    this.#unmade.delete(topic.topicId);
    for (const { subscriptionId } of this.subscriptions(topic.topicId)) {
      this.#subscriptionsById.delete(subscriptionId);
    }
    this.#subscriptionsByTopic.delete(topic.topicId);
  }

  addSubscription(subscription: Subscription): void {
    const { topicId, name, subscriptionId } = subscription;
    let ofTopic = this.#subscriptionsByTopic.get(topicId);
    if (ofTopic === undefined) {
      ofTopic = new Map();
      this.#subscriptionsByTopic.set(topicId, ofTopic);
    }
    ofTopic.set(name, subscription);
    this.#subscriptionsById.set(subscriptionId, subscription);
  }

  removeSubscription({ topicId, name, subscriptionId }: Subscription): void {
    const ofTopic = this.#subscriptionsByTopic.get(topicId);
    // As with topics.
    if (ofTopic?.get(name)?.subscriptionId === subscriptionId) ofTopic.delete(name);
    if (ofTopic?.size === 0) this.#subscriptionsByTopic.delete(topicId);
    this.#subscriptionsById.delete(subscriptionId);
  }
}

async function eachOf<T>(
  page: (from: number) => Promise<readonly T[]>,
  take: (item: T) => void,
): Promise<void> {
  for (let from = 0; ; ) {
    const items = await page(from);
    if (items.length === 0) return;
    for (const item of items) take(item);
    from += items.length;
  }
}
