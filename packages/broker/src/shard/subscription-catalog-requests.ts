import { MillraceError } from "@millrace/protocol";
import type { Subscription, SubscriptionChanges, SubscriptionConfig } from "../subscription/subscription.ts";
import type { CatalogWriter } from "./catalog-writer.ts";
import type { Done, RequestContext, RequestHandlers } from "./request-context.ts";
import { subscriptionKey } from "./subscription-catalog.ts";

/** Subscriptions in one answer, which must fit into a record of the outbound ring. */
const PAGE_MAX = 250;

/** Requests to shard 0 about the subscriptions in its catalog. Answered when the catalog's record is committed. */
export interface SubscriptionCatalogRequestMap {
  /** Subscriptions from the given number on, as many as one answer holds; none behind the last. */
  subscriptions: { args: [from: number]; reply: Subscription[] };
  createSubscription: {
    args: [topicId: number, name: string, config: SubscriptionConfig];
    reply: Subscription;
  };
  /** What `changes` leaves out stays; `snapshots` replaces them. */
  alterSubscription: {
    args: [subscriptionId: number, changes: SubscriptionChanges & { readonly snapshots?: readonly string[] }];
    reply: Subscription;
  };
  deleteSubscription: {
    args: [subscriptionId: number];
    reply: { subscription: Subscription; catalogPosition: number };
  };
}

/** Answers requests about the catalog's subscriptions. Shard thread only. */
export class SubscriptionCatalogRequests {
  readonly handlers: RequestHandlers<SubscriptionCatalogRequestMap> = {
    subscriptions: ([from], done) => done(this.#page(from)),
    createSubscription: (args, done) => this.#create(args, done),
    alterSubscription: (args, done) => this.#alter(args, done),
    deleteSubscription: (args, done) => this.#delete(args, done),
  };
  readonly #context: RequestContext;
  readonly #writer: CatalogWriter;

  constructor(context: RequestContext, writer: CatalogWriter) {
    this.#context = context;
    this.#writer = writer;
  }

  #page(from: number): Subscription[] {
    return [...this.#context.state.catalog.subscriptions.all()].slice(from, from + PAGE_MAX);
  }

  #create(
    [topicId, name, config]: SubscriptionCatalogRequestMap["createSubscription"]["args"],
    done: Done<Subscription>,
  ): void {
    const { state, clock } = this.#context;
    const topic = state.catalog.byId(topicId);
    if (topic === undefined) {
      throw new MillraceError("TOPIC_DELETED", `the topic was deleted: topicId=${topicId}`, {
        details: { topicId },
      });
    }
    this.#writer.assertRoom("subscription");
    const { subscriptions } = state.catalog;
    // As with topics: what a restore has forgotten may still be known by its id.
    subscriptions.startIdsAt(this.#writer.partition.logEpoch);
    this.#write(subscriptions.plan(topic, name, config, clock.wallMs(), this.#writer.position), done);
  }

  #alter(
    [subscriptionId, changes]: SubscriptionCatalogRequestMap["alterSubscription"]["args"],
    done: Done<Subscription>,
  ): void {
    const { subscriptions } = this.#context.state.catalog;
    this.#write(subscriptions.planChange(subscriptionId, changes, this.#writer.position), done);
  }

  #write(subscription: Subscription, done: Done<Subscription>): void {
    const value = this.#context.state.catalog.subscriptions.encode(subscription);
    this.#writer.write(subscriptionKey(subscription), value, () => done(subscription));
  }

  #delete(
    [subscriptionId]: SubscriptionCatalogRequestMap["deleteSubscription"]["args"],
    done: Done<{ subscription: Subscription; catalogPosition: number }>,
  ): void {
    const subscription = this.#context.state.catalog.subscriptions.get(subscriptionId);
    const catalogPosition = this.#writer.position;
    this.#writer.write(subscriptionKey(subscription), new Uint8Array(0), () =>
      done({ subscription, catalogPosition }),
    );
  }
}
