import type { GatewayPort, Subscription as NamedSubscription, Topic } from "@millrace/broker/internal";
import {
  MillraceError,
  parseSubscriptionConfig,
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionInfo,
  subscriptionNameProblem,
} from "@millrace/protocol";
import { type ResolvableFrom, subscriptionStarts } from "./subscription-starts.ts";

/** Finds subscriptions of the catalog, and makes them. */
export class SubscriptionLookup {
  readonly #port: GatewayPort;
  /** Those that are being made because a consumer names them, by topic and name. */
  readonly #creating: Map<string, Promise<NamedSubscription>> = new Map();
  /** Names by the topic whose dead letters they have; made at the first question, since there are many topics. */
  #deadLetterTopics: Map<number, string> | undefined;

  constructor(port: GatewayPort) {
    this.#port = port;
  }

  /** @throws MillraceError UNKNOWN_SUBSCRIPTION */
  async existing(topic: Topic, name: string): Promise<NamedSubscription> {
    const subscription =
      this.#port.subscription(topic.topicId, name) ?? (await this.#found(topic.topicId, name));
    if (subscription !== undefined) return subscription;
    throw new MillraceError(
      "UNKNOWN_SUBSCRIPTION",
      `topic ${topic.name} has no subscription ${JSON.stringify(name)}`,
      { details: { topic: topic.name, subscription: name } },
    );
  }

  /** The subscription of that name, made now from `config` if it does not exist. */
  async existingOrNew(
    topic: Topic,
    name: string,
    config: Readonly<Record<string, unknown>>,
  ): Promise<NamedSubscription> {
    const found = this.#port.subscription(topic.topicId, name);
    if (found !== undefined) {
      // A mistake is to be seen by whoever comes second, too.
      requireMode(found, parseSubscriptionConfig(config).mode);
      return found;
    }
    const key = `${topic.topicId}/${name}`;
    const underWay = this.#creating.get(key);
    if (underWay !== undefined) {
      const made = await underWay;
      requireMode(made, parseSubscriptionConfig(config).mode);
      return made;
    }
    const making = this.#foundOrNew(topic, name, config).finally(() => this.#creating.delete(key));
    this.#creating.set(key, making);
    return making;
  }

  async #foundOrNew(
    topic: Topic,
    name: string,
    config: Readonly<Record<string, unknown>>,
  ): Promise<NamedSubscription> {
    try {
      return await this.create(topic, name, config);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "SUBSCRIPTION_EXISTS") throw error;
      // Somebody else has made it, at another node.
      const other = this.#port.subscription(topic.topicId, name) ?? (await this.#found(topic.topicId, name));
      if (other === undefined) throw error;
      requireMode(other, parseSubscriptionConfig(config).mode);
      return other;
    }
  }

  /** Once this node is sure to have heard of everything that anybody was told of. */
  async #found(topicId: number, subscription: string): Promise<NamedSubscription | undefined> {
    await this.#port.catchUp({ topicId, subscription });
    return this.#port.subscription(topicId, subscription);
  }

  /**
   * Makes a subscription from a config map of the wire.
   * @throws MillraceError INVALID_SUBSCRIPTION_NAME, INVALID_SUBSCRIPTION_CONFIG, OFFSET_OUT_OF_RANGE, SUBSCRIPTION_EXISTS, …
   */
  async create(
    topic: Topic,
    name: string,
    map: Readonly<Record<string, unknown>>,
  ): Promise<NamedSubscription> {
    const problem = subscriptionNameProblem(name);
    if (problem !== undefined) {
      throw new MillraceError("INVALID_SUBSCRIPTION_NAME", problem, { details: { subscription: name } });
    }
    const { mode, from, ...settings } = parseSubscriptionConfig(map);
    const starts = await subscriptionStarts(
      this.#port,
      topic,
      (from as ResolvableFrom) ?? defaultFrom(topic),
    );
    const config = { ...SUBSCRIPTION_DEFAULTS, ...settings, mode, paused: false };
    return this.#port.createSubscription(topic, name, config, starts);
  }

  /** As clients see it, without its state. */
  info(topic: Topic, subscription: NamedSubscription): SubscriptionInfo {
    const { name, topicId, subscriptionId, mode, paused, createdMs, snapshots } = subscription;
    const { leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs } = subscription;
    return {
      name,
      topic: topic.name,
      topicId,
      subscriptionId,
      mode,
      leaseMs,
      maxDeliveries,
      backoffMinMs,
      backoffMaxMs,
      paused,
      createdMs,
      deadLetterTopic: this.#deadLetterTopic(topicId),
      snapshots,
    };
  }

  onTopicCreated({ deadLetterOf, name }: Topic): void {
    if (deadLetterOf !== undefined) this.#deadLetterTopics?.set(deadLetterOf, name);
  }

  onTopicDeleted({ deadLetterOf }: Topic): void {
    if (deadLetterOf !== undefined) this.#deadLetterTopics?.delete(deadLetterOf);
  }

  #deadLetterTopic(topicId: number): string | null {
    if (this.#deadLetterTopics === undefined) {
      this.#deadLetterTopics = new Map();
      for (const topic of this.#port.topics()) this.onTopicCreated(topic);
    }
    return this.#deadLetterTopics.get(topicId) ?? null;
  }
}

/** @throws MillraceError SUBSCRIPTION_MODE when it has another one; undefined: any will do */
export function requireMode(subscription: NamedSubscription, mode: string | undefined): void {
  if (mode === undefined || mode === subscription.mode) return;
  throw new MillraceError(
    "SUBSCRIPTION_MODE",
    `subscription ${subscription.name} is of mode ${subscription.mode}, not ${mode}`,
    { details: { subscription: subscription.name, mode: subscription.mode } },
  );
}

/** What waits to be acknowledged is there for whoever comes. */
function defaultFrom(topic: Topic): ResolvableFrom {
  return { kind: topic.retention === "acknowledged" ? "earliest" : "latest" };
}
