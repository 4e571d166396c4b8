import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { Assignment } from "../subscription/group-coordinator.ts";
import { homeShardOf } from "../subscription/home-shard.ts";
import type { Subscription } from "../subscription/subscription.ts";
import type { AskShard } from "./catalog-changes.ts";
import type { CatalogView } from "./catalog-view.ts";

const RESET_TRIES = 20;

interface GroupAdminContext {
  readonly catalog: CatalogView;
  readonly ask: AskShard;
  readonly shardCount: number;
}

/** The way from consumers of stream subscriptions to their home shards. The node's thread only. */
export class GroupAdmin {
  readonly #context: GroupAdminContext;

  constructor(context: GroupAdminContext) {
    this.#context = context;
  }

  async join(
    subscription: Subscription,
    consumerId: number,
    held: readonly Assignment[],
    again: boolean,
  ): Promise<void> {
    const { subscriptionId, topicId } = subscription;
    const partitions = this.#context.catalog.byId(topicId)?.partitions ?? 0;
    await this.#ask(subscription, "groupJoin", [subscriptionId, partitions, consumerId, held, again]);
  }

  async leave(subscription: Subscription, consumerId: number): Promise<void> {
    await this.#ask(subscription, "groupLeave", [subscription.subscriptionId, consumerId]);
  }

  async released(
    subscription: Subscription,
    consumerId: number,
    assignments: readonly Assignment[],
  ): Promise<void> {
    await this.#ask(subscription, "groupReleased", [subscription.subscriptionId, consumerId, assignments]);
  }

  /** After its cursors were moved, so that all members begin anew, or after it was deleted. */
  async reset(subscription: Subscription, isDeleted: boolean): Promise<void> {
    if (subscription.mode !== "stream") return;
    const { subscriptionId } = subscription;
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#ask(subscription, "groupReset", [subscriptionId, isDeleted]);
        return;
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        // A home shard that is out of service has no members, and one that was is joined anew.
        if (isDeleted || error.code !== "SHARD_RESTARTED" || tries >= RESET_TRIES) return;
      }
      // Its members come back with what they held before.
      await new Promise((resolve) => setTimeout(resolve, BROKER_LIMITS.retryAfterMs));
    }
  }

  #ask<K extends keyof ShardRequestMap>(
    { topicId, name }: Subscription,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): Promise<ShardRequestMap[K]["reply"]> {
    return this.#context.ask(homeShardOf(topicId, name, this.#context.shardCount), kind, args);
  }
}
