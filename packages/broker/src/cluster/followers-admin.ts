import type { CatalogAdmin } from "../node/catalog-admin.ts";
import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";

/** CatalogFollower, as far as this goes. */
export interface AdminCalls {
  admin(method: keyof CatalogAdmin, args: readonly unknown[]): Promise<unknown>;
}

/** Changes the catalog at the coordinator, whichever node that is: what a node of a cluster gives its gateway. */
export class FollowersAdmin implements CatalogAdmin {
  readonly #follower: AdminCalls;

  constructor(follower: AdminCalls) {
    this.#follower = follower;
  }

  createTopic(...args: Parameters<CatalogAdmin["createTopic"]>): Promise<Topic> {
    return this.#topic("createTopic", args);
  }

  alterTopic(...args: Parameters<CatalogAdmin["alterTopic"]>): Promise<Topic> {
    return this.#topic("alterTopic", args);
  }

  deleteTopic(...args: Parameters<CatalogAdmin["deleteTopic"]>): Promise<Topic> {
    return this.#topic("deleteTopic", args);
  }

  createDeadLetterTopic(...args: Parameters<CatalogAdmin["createDeadLetterTopic"]>): Promise<Topic> {
    return this.#topic("createDeadLetterTopic", args);
  }

  createSubscription(...args: Parameters<CatalogAdmin["createSubscription"]>): Promise<Subscription> {
    return this.#subscription("createSubscription", args);
  }

  alterSubscription(...args: Parameters<CatalogAdmin["alterSubscription"]>): Promise<Subscription> {
    return this.#subscription("alterSubscription", args);
  }

  deleteSubscription(...args: Parameters<CatalogAdmin["deleteSubscription"]>): Promise<Subscription> {
    return this.#subscription("deleteSubscription", args);
  }

  async seekSubscription(...args: Parameters<CatalogAdmin["seekSubscription"]>): Promise<void> {
    await this.#follower.admin("seekSubscription", args);
  }

  async seekToSnapshot(...args: Parameters<CatalogAdmin["seekToSnapshot"]>): Promise<void> {
    await this.#follower.admin("seekToSnapshot", args);
  }

  snapshotSubscription(...args: Parameters<CatalogAdmin["snapshotSubscription"]>): Promise<Subscription> {
    return this.#subscription("snapshotSubscription", args);
  }

  async #topic(method: keyof CatalogAdmin, args: readonly unknown[]): Promise<Topic> {
    return (await this.#follower.admin(method, args)) as Topic;
  }

  async #subscription(method: keyof CatalogAdmin, args: readonly unknown[]): Promise<Subscription> {
    return (await this.#follower.admin(method, args)) as Subscription;
  }
}
