import { LIMITS, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import type {
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionMode,
} from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";

/** Keys of subscriptions in `$catalog`: this, the topic's id, a slash, the subscription's name. No topic is named so. */
const KEY_PREFIX = "$sub/";

/** What stands in the value of a subscription's record in `$catalog`. */
interface SubscriptionValue {
  subscriptionId: number;
  mode: SubscriptionMode;
  leaseMs: number;
  maxDeliveries: number;
  backoffMinMs: number;
  backoffMaxMs: number;
  paused: boolean;
  createdMs: number;
  snapshots: readonly string[];
  isOpening?: boolean | undefined;
}

const packr = new Packr({ useRecords: false });

/** The catalog's subscriptions, as shard 0 holds them: a part of CatalogState. */
export class SubscriptionCatalog {
  readonly #byId: Map<number, Subscription> = new Map();
  readonly #byTopic: Map<number, Map<string, Subscription>> = new Map();
  #partitionsTotal = 0;
  #nextId = 1;

  get nextId(): number {
    return this.#nextId;
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): Iterable<Subscription> {
    return this.#byId.values();
  }

  ofTopic(topicId: number): Iterable<Subscription> {
    return this.#byTopic.get(topicId)?.values() ?? [];
  }

  /** Throws UNKNOWN_SUBSCRIPTION. */
  get(subscriptionId: number): Subscription {
    const found = this.#byId.get(subscriptionId);
    if (found === undefined) throw unknownSubscription(subscriptionId);
    return found;
  }

  /** Ids below are not given out any more. */
  startIdsAt(subscriptionId: number): void {
    this.#nextId = Math.max(this.#nextId, subscriptionId);
  }

  /** A subscription that does not exist yet. Throws SUBSCRIPTION_EXISTS and the like. */
  plan(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    createdMs: number,
    catalogPosition: number,
  ): Subscription {
    const details = { topic: topic.name, subscription: name };
    if (this.#byTopic.get(topic.topicId)?.has(name)) {
      throw new MillraceError("SUBSCRIPTION_EXISTS", `subscription already exists: ${name}`, { details });
    }
    const { subscriptionsMax } = LIMITS;
    const { subscriptionPartitionsTotalMax } = BROKER_LIMITS;
    if (this.#byId.size >= subscriptionsMax) {
      throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", `subscriptionsMax reached: ${subscriptionsMax}`, {
        details,
      });
    }
    if (this.#partitionsTotal + topic.partitions > subscriptionPartitionsTotalMax) {
      const have = `have=${this.#partitionsTotal} asked=${topic.partitions}`;
      throw new MillraceError(
        "TOO_MANY_SUBSCRIPTIONS",
        `subscriptionPartitionsTotalMax reached: ${have} max=${subscriptionPartitionsTotalMax}`,
        { details },
      );
    }
    const { mode, leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs, paused } = config;
    return {
      name,
      topicId: topic.topicId,
      subscriptionId: this.#nextId,
      mode,
      leaseMs,
      maxDeliveries,
      backoffMinMs,
      backoffMaxMs,
      paused,
      createdMs,
      snapshots: [],
      isOpening: true,
      catalogPosition,
    };
  }

  /** The subscription with other settings, and made. Throws UNKNOWN_SUBSCRIPTION, TOO_MANY_SUBSCRIPTIONS for snapshots. */
  planChange(
    subscriptionId: number,
    changes: SubscriptionChanges & { readonly snapshots?: readonly string[] },
    catalogPosition: number,
  ): Subscription {
    const before = this.get(subscriptionId);
    const { snapshotsMax: max } = LIMITS;
    if ((changes.snapshots?.length ?? 0) > max) {
      throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", `snapshotsMax reached: ${max}`, {
        details: { subscription: before.name },
      });
    }
    const { isOpening: _, ...made } = before;
    return {
      ...made,
      leaseMs: changes.leaseMs ?? before.leaseMs,
      maxDeliveries: changes.maxDeliveries ?? before.maxDeliveries,
      backoffMinMs: changes.backoffMinMs ?? before.backoffMinMs,
      backoffMaxMs: changes.backoffMaxMs ?? before.backoffMaxMs,
      paused: changes.paused ?? before.paused,
      snapshots: changes.snapshots ?? before.snapshots,
      catalogPosition,
    };
  }

  encode(subscription: Subscription): Uint8Array {
    const { name: _name, topicId: _topicId, catalogPosition: _position, ...value } = subscription;
    return packr.pack(value satisfies SubscriptionValue);
  }

  /** Applies one record of `$catalog`. `value` empty = deleted. A record of a topic that is gone is passed over. */
  apply(
    key: string,
    value: Uint8Array,
    catalogPosition: number,
    partitionsOf: (topicId: number) => number,
  ): void {
    const { topicId, name } = subscriptionPlaceOf(key);
    const previous = this.#byTopic.get(topicId)?.get(name);
    if (previous !== undefined) this.#remove(previous, partitionsOf(topicId));
    const partitions = partitionsOf(topicId);
    if (value.length === 0 || partitions === 0) return;
    const subscription: Subscription = {
      name,
      topicId,
      catalogPosition,
      ...(packr.unpack(value) as SubscriptionValue),
    };
    this.#byId.set(subscription.subscriptionId, subscription);
    const ofTopic = this.#byTopic.get(topicId);
    if (ofTopic === undefined) this.#byTopic.set(topicId, new Map([[name, subscription]]));
    else ofTopic.set(name, subscription);
    this.#partitionsTotal += partitions;
    // As with topics: never reused.
    this.#nextId = Math.max(this.#nextId, subscription.subscriptionId + 1);
  }

  /** The topic was deleted. @returns the keys of its subscriptions, which are gone with it */
  removeTopic(topicId: number, partitions: number): string[] {
    const gone = [...this.ofTopic(topicId)];
    for (const subscription of gone) this.#remove(subscription, partitions);
    return gone.map(subscriptionKey);
  }

  #remove({ topicId, name, subscriptionId }: Subscription, partitions: number): void {
    this.#byId.delete(subscriptionId);
    const ofTopic = this.#byTopic.get(topicId);
    ofTopic?.delete(name);
    if (ofTopic?.size === 0) this.#byTopic.delete(topicId);
    this.#partitionsTotal -= partitions;
  }
}

export function isSubscriptionKey(key: string): boolean {
  return key.startsWith(KEY_PREFIX);
}

export function subscriptionKey({ topicId, name }: Pick<Subscription, "topicId" | "name">): string {
  return `${KEY_PREFIX}${topicId}/${name}`;
}

export function subscriptionPlaceOf(key: string): { readonly topicId: number; readonly name: string } {
  const slash = key.indexOf("/", KEY_PREFIX.length);
  return { topicId: Number(key.slice(KEY_PREFIX.length, slash)), name: key.slice(slash + 1) };
}

export function unknownSubscription(subscriptionId: number): MillraceError {
  return new MillraceError("UNKNOWN_SUBSCRIPTION", `no such subscription: subscriptionId=${subscriptionId}`, {
    details: { subscriptionId },
  });
}
