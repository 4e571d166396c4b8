import { MillraceError } from "@millrace/protocol";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { CatalogChange } from "./catalog-change.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { GatewayHandler } from "./gateway-handler.ts";
import { openingsByShard, traitsOf } from "./placement.ts";
import { openingOf } from "./subscription-opening.ts";
import { shardsOf } from "./topic-shards.ts";

/** Asks a shard. Rejects with what the shard refused, or SHARD_RESTARTED. */
export type AskShard = <K extends keyof ShardRequestMap>(
  shardId: number,
  kind: K,
  args: ShardRequestMap[K]["args"],
) => Promise<ShardRequestMap[K]["reply"]>;

export interface CatalogChangesContext {
  readonly catalog: CatalogView;
  readonly ask: AskShard;
  /** The gateway that is told of what comes, goes and changes. */
  readonly handler: () => GatewayHandler | undefined;
}

/**
 * What every node does with a change of the catalog: it keeps its copy, tells its gateway, and tells the shards that it
 * answers for. Each change is taken whole before the next one. The node's thread only.
 */
export class CatalogChanges {
  readonly #context: CatalogChangesContext;

  constructor(context: CatalogChangesContext) {
    this.#context = context;
  }

  /**
   * Copy and gateway are up to date when it returns.
   * @param isOwn which shards are to be told; none: whoever made the change tells them
   * @returns when those have answered; what a shard that restarts has missed it learns when it is reconciled
   */
  apply(change: CatalogChange, isOwn?: (shardId: number) => boolean): Promise<void> {
    const asked: Promise<unknown>[] = [];
    const tell: Tell | undefined =
      isOwn === undefined
        ? undefined
        : (shardId, kind, args) => {
            if (isOwn(shardId)) asked.push(this.#context.ask(shardId, kind, args));
          };
    this.#apply(change, tell);
    return asked.length === 0 ? DONE : Promise.all(asked.map(unlessRestarted)).then(() => undefined);
  }

  #apply(change: CatalogChange, tell: Tell | undefined): void {
    switch (change.kind) {
      case "topic":
        this.#topic(change.topic, change.made, tell);
        return;
      case "topic-made":
        this.#made(change.topicId);
        return;
      case "topic-deleted":
        this.#topicDeleted(change.topicId, tell);
        return;
      case "subscription":
        this.#subscription(change.subscription, tell);
        return;
      case "subscription-deleted":
        this.#subscriptionDeleted(change.subscriptionId, tell);
        return;
      case "sought": {
        const found = this.#context.catalog.subscriptionById(change.subscriptionId);
        if (found !== undefined) this.#context.handler()?.onSubscriptionChanged(found, true);
      }
    }
  }

  #topic(topic: Topic, made: boolean, tell: Tell | undefined): void {
    const { catalog, handler } = this.#context;
    const { topicId } = topic;
    const before = catalog.byId(topicId);
    const wasMade = before !== undefined && catalog.isMade(topicId);
    if (before === undefined || before.catalogPosition < topic.catalogPosition) {
      catalog.add(topic, made);
      for (const [shardId, openings] of tell === undefined ? [] : openingsByShard(topic)) {
        tell?.(shardId, before === undefined ? "open" : "configure", [openings, [traitsOf(topic)]]);
      }
      if (wasMade) handler()?.onTopicAltered(topic);
    }
    if (made && !wasMade) this.#tellMade(topicId);
  }

  #made(topicId: number): void {
    if (!this.#context.catalog.isMade(topicId)) this.#tellMade(topicId);
  }

  #tellMade(topicId: number): void {
    const { catalog, handler } = this.#context;
    const topic = catalog.byId(topicId);
    // Deleted meanwhile.
    if (topic === undefined) return;
    catalog.add(topic, true);
    handler()?.onTopicCreated(topic);
  }

  #topicDeleted(topicId: number, tell: Tell | undefined): void {
    const { catalog, handler } = this.#context;
    const topic = catalog.byId(topicId);
    if (topic === undefined) return;
    catalog.remove(topic);
    handler()?.onTopicDeleted(topic);
    for (const shardId of new Set(topic.shards)) tell?.(shardId, "close", [topicId]);
  }

  #subscription(subscription: Subscription, tell: Tell | undefined): void {
    const { catalog, handler } = this.#context;
    const topic = catalog.byId(subscription.topicId);
    const before = catalog.subscriptionById(subscription.subscriptionId);
    if (topic === undefined) return;
    if (before !== undefined && before.catalogPosition >= subscription.catalogPosition) return;
    catalog.addSubscription(subscription);
    // Only who makes it knows where it starts, and tells the shards.
    if (subscription.isOpening === true) return;
    const wasMade = before !== undefined && before.isOpening !== true;
    const opening = openingOf(subscription, topic.name);
    for (const [shardId] of tell === undefined ? [] : shardsOf(topic)) {
      if (wasMade) tell?.(shardId, "configureSubscription", [opening]);
      else tell?.(shardId, "subscribe", [opening, []]);
    }
    if (wasMade) handler()?.onSubscriptionChanged(subscription, false);
  }

  #subscriptionDeleted(subscriptionId: number, tell: Tell | undefined): void {
    const { catalog, handler } = this.#context;
    const subscription = catalog.subscriptionById(subscriptionId);
    if (subscription === undefined) return;
    const topic = catalog.byId(subscription.topicId);
    catalog.removeSubscription(subscription);
    handler()?.onSubscriptionDeleted(subscription);
    for (const shardId of new Set(topic?.shards)) tell?.(shardId, "unsubscribe", [subscriptionId]);
  }
}

type Tell = <K extends keyof ShardRequestMap>(
  shardId: number,
  kind: K,
  args: ShardRequestMap[K]["args"],
) => void;

const DONE: Promise<void> = Promise.resolve();

/** A shard that restarts meanwhile, or is repaired some time, learns the same from the catalog: reconciliation makes it so. */
export async function unlessRestarted(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code !== "SHARD_RESTARTED" && error.code !== "JOURNAL_FAILED") throw error;
  }
}
