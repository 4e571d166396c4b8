import type { CatalogView } from "../node/catalog-view.ts";
import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { CatalogMark, CatalogPage } from "./catalog-feed.ts";

/** A page is one message of a link: topics without their placement, shard ids in it, subscriptions, their snapshots. */
const PAGE_BYTES = 256 * 1024;
const TOPIC_BYTES_MAX = 512;
const SHARD_ID_BYTES_MAX = 3;
const SUBSCRIPTION_BYTES_MAX = 512;
const SNAPSHOT_BYTES_MAX = 256;

/** See CatalogPage. */
export function catalogPage(
  catalog: CatalogView,
  mark: CatalogMark,
  topicsAfter: number,
  subscriptionsAfter: number,
): CatalogPage {
  const topics: Topic[] = [];
  const subscriptions: Subscription[] = [];
  let room = PAGE_BYTES;
  const restTopics = [...catalog.topics()].filter(({ topicId }) => topicId > topicsAfter);
  for (const topic of restTopics.sort((a, b) => a.topicId - b.topicId)) {
    room -= TOPIC_BYTES_MAX + topic.shards.length * SHARD_ID_BYTES_MAX;
    if (room < 0 && topics.length > 0) break;
    topics.push(topic);
  }
  let isLast = topics.length === restTopics.length;
  if (isLast) {
    const rest = [...catalog.subscriptions()].filter((one) => one.subscriptionId > subscriptionsAfter);
    for (const subscription of rest.sort((a, b) => a.subscriptionId - b.subscriptionId)) {
      room -= SUBSCRIPTION_BYTES_MAX + subscription.snapshots.length * SNAPSHOT_BYTES_MAX;
      if (room < 0 && topics.length + subscriptions.length > 0) {
        isLast = false;
        break;
      }
      subscriptions.push(subscription);
    }
  }
  const unmade = topics.filter(({ topicId }) => !catalog.isMade(topicId)).map(({ topicId }) => topicId);
  return { mark, topics, unmade, subscriptions, isLast };
}
