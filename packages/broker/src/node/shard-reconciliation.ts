import { BROKER_LIMITS } from "../limits.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { SubscriptionOpening } from "../shard/subscription-requests.ts";
import type { PartitionOpening } from "../shard/topic-requests.ts";
import type { TopicTraits } from "../shard/topic-traits.ts";
import type { CatalogView } from "./catalog-view.ts";
import { openingsByShard, traitsOf } from "./placement.ts";
import { openingOf } from "./subscription-opening.ts";

/** How the shard was found when it was opened. */
export interface OpenedShard {
  readonly cleanShutdown: boolean;
  /** It comes out of a backup, for the first time. */
  readonly restored: boolean;
}

type Ask = <K extends "reconcile" | "reconcileSubscriptions">(
  kind: K,
  args: ShardRequestMap[K]["args"],
) => Promise<unknown>;

/**
 * Makes a shard that was opened hold exactly what the catalog says, which must be no older than the opening: what is not in it
 * is dropped for good. All is asked before this returns, so that changes of the catalog that are told to the shard from then
 * on come behind it.
 * @returns when it is durable
 */
export async function reconcileShard(
  catalog: CatalogView,
  shardId: number,
  { cleanShutdown, restored }: OpenedShard,
  ask: Ask,
): Promise<void> {
  const partitions: PartitionOpening[] = [];
  const traits: TopicTraits[] = [];
  for (const topic of catalog.topics()) {
    if (topic.retention !== undefined || topic.deadLetterOf !== undefined) traits.push(traitsOf(topic));
    for (const [holder, openings] of openingsByShard(topic)) {
      if (holder === shardId) partitions.push(...openings);
    }
  }
  const answers: Promise<unknown>[] = [ask("reconcile", [partitions, cleanShutdown, restored, traits])];
  const subscriptions: SubscriptionOpening[] = [];
  for (const subscription of catalog.subscriptions()) {
    const topic = catalog.byId(subscription.topicId);
    if (topic?.shards.includes(shardId)) subscriptions.push(openingOf(subscription, topic.name));
  }
  // In pages: there may be more than one record of a ring holds.
  const page = BROKER_LIMITS.subscriptionsPageMax;
  for (let from = 0; from === 0 || from < subscriptions.length; from += page) {
    const isLast = from + page >= subscriptions.length;
    answers.push(ask("reconcileSubscriptions", [subscriptions.slice(from, from + page), isLast]));
  }
  await Promise.all(answers);
}
