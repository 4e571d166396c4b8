import { MillraceError } from "@millrace/protocol";
import { CatalogState } from "../../src/shard/catalog-state.ts";
import type { ShardRequestMap } from "../../src/shard/shard-requests.ts";
import { subscriptionKey } from "../../src/shard/subscription-catalog.ts";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import type { Subscription, SubscriptionStarts } from "../../src/subscription/subscription.ts";
import type { Topic } from "../../src/topic.ts";

/** Thrown where the rules are broken. */
export class Violation extends Error {}

/** What is durable of a shard, whoever owns it: its partitions, and where subscriptions begin in them. */
export interface SimulatedShard {
  readonly shardId: number;
  /** Of the opening that counts. */
  epoch: number;
  readonly partitions: Set<string>;
  /** Where each was told to start; one that was begun by itself has no starts. */
  readonly subscriptions: Map<number, { readonly topicId: number; readonly starts: SubscriptionStarts }>;
}

type Handlers = { readonly [kind: string]: (shard: SimulatedShard, args: never) => unknown };

/** The shards of a cluster as far as the catalog is concerned: shard 0 has it, all are told what follows from it. */
export class SimulatedCatalogShards {
  readonly shards: readonly SimulatedShard[];
  /** As shard 0 has committed it. */
  readonly catalog: CatalogState;
  position = 0;
  readonly #handlers: Handlers;

  constructor(count: number) {
    this.catalog = new CatalogState(count);
    this.shards = Array.from({ length: count }, (_, shardId) => ({
      shardId,
      epoch: 0,
      partitions: new Set<string>(),
      subscriptions: new Map(),
    }));
    this.#handlers = this.#makeHandlers();
  }

  shard(shardId: number): SimulatedShard {
    return this.shards[shardId] as SimulatedShard;
  }

  /** Carries a request out, durably. @throws MillraceError as shards do */
  handle(shardId: number, kind: string, args: readonly unknown[]): unknown {
    const handler = this.#handlers[kind];
    if (handler === undefined) throw new Violation(`no such request: ${kind}`);
    const result = handler(this.shard(shardId), args as never);
    // As it travels.
    return typeof result === "object" ? structuredClone(result) : result;
  }

  #write(key: string, value: Uint8Array): void {
    this.catalog.apply(key, value, this.position);
    this.position += 1;
  }

  #writeTopic(topic: Topic): Topic {
    this.#write(topic.name, this.catalog.encode(topic));
    return topic;
  }

  #writeSubscription(subscription: Subscription): Subscription {
    this.#write(subscriptionKey(subscription), this.catalog.subscriptions.encode(subscription));
    return subscription;
  }

  /** A partition goes for good: nothing in the catalog may need it. */
  #drop(shard: SimulatedShard, key: string): void {
    const topicId = Number(key.slice(0, key.indexOf("/")));
    if (shard.partitions.delete(key) && this.catalog.byId(topicId) !== undefined) {
      throw new Violation(`shard ${shard.shardId} dropped partition ${key} of a topic that exists`);
    }
  }

  #forget(shard: SimulatedShard, subscriptionId: number): void {
    if (!shard.subscriptions.delete(subscriptionId)) return;
    if ([...this.catalog.subscriptions.all()].some((one) => one.subscriptionId === subscriptionId)) {
      throw new Violation(`shard ${shard.shardId} dropped subscription ${subscriptionId}, which exists`);
    }
  }

  #makeHandlers(): Handlers {
    const { catalog } = this;
    const open = (shard: SimulatedShard, [partitions]: ShardRequestMap["open"]["args"]): number => {
      for (const [topicId, partition] of partitions) shard.partitions.add(`${topicId}/${partition}`);
      return partitions.length;
    };
    const begin = (
      shard: SimulatedShard,
      [subscriptionId, topicId]: SubscriptionOpening,
      starts: SubscriptionStarts,
    ): void => {
      const hasTopic = [...shard.partitions].some((key) => key.startsWith(`${topicId}/`));
      if (hasTopic && !shard.subscriptions.has(subscriptionId)) {
        shard.subscriptions.set(subscriptionId, { topicId, starts });
      }
    };
    return {
      catalogPosition: () => this.position - 1,
      catalog: (_shard, [from]: [number]) => catalog.topics().slice(from, from + 3),
      subscriptions: (_shard, [from]: [number]) => [...catalog.subscriptions.all()].slice(from, from + 3),
      createTopic: (_shard, [name, config]: ShardRequestMap["createTopic"]["args"]) =>
        this.#writeTopic(catalog.plan(name, config, 1, this.position)),
      alterTopic: (_shard, [name, changes]: ShardRequestMap["alterTopic"]["args"]) =>
        this.#writeTopic(catalog.planChange(name, changes, this.position)),
      deleteTopic: (_shard, [name]: [string]) => {
        const topic = catalog.get(name);
        if (topic === undefined) throw new MillraceError("UNKNOWN_TOPIC", name);
        const catalogPosition = this.position;
        this.#write(name, new Uint8Array(0));
        return { topic, catalogPosition };
      },
      createSubscription: (
        _shard,
        [topicId, name, config]: ShardRequestMap["createSubscription"]["args"],
      ) => {
        const topic = catalog.byId(topicId);
        if (topic === undefined) throw new MillraceError("TOPIC_DELETED", String(topicId));
        return this.#writeSubscription(catalog.subscriptions.plan(topic, name, config, 1, this.position));
      },
      alterSubscription: (_shard, [id, changes]: ShardRequestMap["alterSubscription"]["args"]) =>
        this.#writeSubscription(catalog.subscriptions.planChange(id, changes, this.position)),
      deleteSubscription: (_shard, [id]: [number]) => {
        const subscription = catalog.subscriptions.get(id);
        const catalogPosition = this.position;
        this.#write(subscriptionKey(subscription), new Uint8Array(0));
        return { subscription, catalogPosition };
      },
      open,
      configure: () => 0,
      seek: () => 0,
      groupReset: () => 0,
      touch: (shard, [key, mustExist]: [string, () => boolean]) => {
        if (shard.partitions.has(key) || !mustExist()) return 0;
        throw new Violation(
          `shard ${shard.shardId} has not open partition ${key}, of which a client was told`,
        );
      },
      close: (shard, [topicId]: [number]) => {
        for (const key of [...shard.partitions]) if (key.startsWith(`${topicId}/`)) this.#drop(shard, key);
        for (const [id, one] of shard.subscriptions) if (one.topicId === topicId) this.#forget(shard, id);
        return 0;
      },
      subscribe: (shard, [opening, starts]: ShardRequestMap["subscribe"]["args"]) => {
        begin(shard, opening, starts);
        return 0;
      },
      configureSubscription: () => 0,
      unsubscribe: (shard, [id]: [number]) => {
        this.#forget(shard, id);
        return 0;
      },
      reconcile: (shard, args: ShardRequestMap["reconcile"]["args"]) => {
        const wanted = new Set(args[0].map(([topicId, partition]) => `${topicId}/${partition}`));
        for (const key of [...shard.partitions]) if (!wanted.has(key)) this.#drop(shard, key);
        return open(shard, [args[0]]);
      },
      reconcileSubscriptions: (shard, [openings]: ShardRequestMap["reconcileSubscriptions"]["args"]) => {
        const wanted = new Set(openings.map(([id]) => id));
        for (const id of [...shard.subscriptions.keys()]) if (!wanted.has(id)) this.#forget(shard, id);
        for (const opening of openings) if (opening[11] !== true) begin(shard, opening, []);
        return openings.length;
      },
    };
  }
}
