import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";
import type { CatalogView } from "./catalog-view.ts";

/**
 * A step of the catalog, as nodes are told of it. All but the last can be taken again without harm, and what is older than
 * what a node knows already is passed over.
 */
export type CatalogChange =
  /** Created or altered. Not `made`: some of its shards may not have it open, and no client is told of it yet. */
  | { readonly kind: "topic"; readonly topic: Topic; readonly made: boolean }
  /** From here on clients may use it. */
  | { readonly kind: "topic-made"; readonly topicId: number }
  /** With its subscriptions, of which nothing is said. */
  | { readonly kind: "topic-deleted"; readonly topicId: number }
  /** Created or altered; no client is told of one that isOpening. */
  | { readonly kind: "subscription"; readonly subscription: Subscription }
  | { readonly kind: "subscription-deleted"; readonly subscriptionId: number }
  /** Its positions were moved: whoever reads it begins anew. Nothing of it is kept, so a node that misses it is not told. */
  | { readonly kind: "sought"; readonly subscriptionId: number };

/** The changes that make of `known` what was `found`. */
export function catalogDifference(known: CatalogView, found: CatalogView): CatalogChange[] {
  const changes: CatalogChange[] = [];
  for (const { subscriptionId, topicId } of known.subscriptions()) {
    // Those of a topic that is gone go with it.
    if (found.byId(topicId) === undefined || found.subscriptionById(subscriptionId) !== undefined) continue;
    changes.push({ kind: "subscription-deleted", subscriptionId });
  }
  for (const { topicId } of known.topics()) {
    if (found.byId(topicId) === undefined) changes.push({ kind: "topic-deleted", topicId });
  }
  for (const topic of found.topics()) {
    const { topicId } = topic;
    const before = known.byId(topicId);
    const made = found.isMade(topicId);
    if (before === undefined || before.catalogPosition < topic.catalogPosition) {
      changes.push({ kind: "topic", topic, made });
    } else if (made && !known.isMade(topicId)) {
      changes.push({ kind: "topic-made", topicId });
    }
  }
  for (const subscription of found.subscriptions()) {
    const before = known.subscriptionById(subscription.subscriptionId);
    if (before !== undefined && before.catalogPosition >= subscription.catalogPosition) continue;
    changes.push({ kind: "subscription", subscription });
  }
  return changes;
}
