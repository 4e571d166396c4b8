import type { Subscription as NamedSubscription, Topic } from "@millrace/broker/internal";

export interface PagedSubscription {
  readonly topic: Topic;
  readonly subscription: NamedSubscription;
}

/**
 * The first `count` subscriptions, by the names of their topic and their own, behind `after`. Those of topics that `topicOf`
 * does not give are left out. Looks at each subscription once and sorts no more than a page: a gateway with 65,536 of them
 * serves others between the pages.
 */
export function firstSubscriptionsAfter(
  subscriptions: Iterable<NamedSubscription>,
  topicOf: (topicId: number) => Topic | undefined,
  after: readonly [topic: string, name: string] | undefined,
  count: number,
): readonly PagedSubscription[] {
  let candidates: PagedSubscription[] = [];
  let last: PagedSubscription | undefined;
  for (const subscription of subscriptions) {
    const topic = topicOf(subscription.topicId);
    if (topic === undefined) continue;
    if (after !== undefined && compare(topic.name, subscription.name, after[0], after[1]) <= 0) continue;
    const candidate = { topic, subscription };
    if (last !== undefined && order(candidate, last) >= 0) continue;
    candidates.push(candidate);
    if (candidates.length < 2 * count) continue;
    candidates = candidates.sort(order).slice(0, count);
    last = candidates.at(-1);
  }
  return candidates.sort(order).slice(0, count);
}

function order(a: PagedSubscription, b: PagedSubscription): number {
  return compare(a.topic.name, a.subscription.name, b.topic.name, b.subscription.name);
}

function compare(topicA: string, nameA: string, topicB: string, nameB: string): number {
  if (topicA !== topicB) return topicA < topicB ? -1 : 1;
  if (nameA !== nameB) return nameA < nameB ? -1 : 1;
  return 0;
}
