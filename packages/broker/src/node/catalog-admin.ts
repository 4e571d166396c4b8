import type {
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { Topic, TopicChanges, TopicConfig } from "../topic.ts";
import type { GroupAdmin } from "./group-admin.ts";
import { SubscriptionAdmin } from "./subscription-admin.ts";
import { type CatalogAdminContext, TopicAdmin } from "./topic-admin.ts";

/**
 * Everything that changes the catalog, or needs several steps at several shards to be there in full or not at all. At most one
 * node carries it out at a time: see GatewayPort and SubscriptionPort for what each does and how it fails.
 */
export interface CatalogAdmin {
  createTopic(name: string, config: TopicConfig): Promise<Topic>;
  alterTopic(name: string, changes: TopicChanges): Promise<Topic>;
  deleteTopic(name: string): Promise<Topic>;
  createDeadLetterTopic(sourceTopicId: number): Promise<Topic>;
  createSubscription(
    topicId: number,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription>;
  alterSubscription(subscriptionId: number, changes: SubscriptionChanges): Promise<Subscription>;
  deleteSubscription(subscriptionId: number): Promise<Subscription>;
  seekSubscription(subscriptionId: number, starts: SubscriptionStarts): Promise<void>;
  seekToSnapshot(subscriptionId: number, snapshot: string): Promise<void>;
  snapshotSubscription(
    subscriptionId: number,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription>;
}

/** Carries it out, at the node that coordinates. */
export class CoordinatedAdmin implements CatalogAdmin {
  readonly topics: TopicAdmin;
  readonly subscriptions: SubscriptionAdmin;

  constructor(context: CatalogAdminContext, groups: GroupAdmin) {
    this.topics = new TopicAdmin(context);
    this.subscriptions = new SubscriptionAdmin(context, this.topics, groups);
  }

  createTopic(name: string, config: TopicConfig): Promise<Topic> {
    return this.topics.create(name, config);
  }

  alterTopic(name: string, changes: TopicChanges): Promise<Topic> {
    return this.topics.alter(name, changes);
  }

  deleteTopic(name: string): Promise<Topic> {
    return this.topics.delete(name);
  }

  createDeadLetterTopic(sourceTopicId: number): Promise<Topic> {
    return this.subscriptions.createDeadLetterTopic(sourceTopicId);
  }

  createSubscription(
    topicId: number,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    return this.subscriptions.create(topicId, name, config, starts);
  }

  alterSubscription(subscriptionId: number, changes: SubscriptionChanges): Promise<Subscription> {
    return this.subscriptions.alter(subscriptionId, changes);
  }

  deleteSubscription(subscriptionId: number): Promise<Subscription> {
    return this.subscriptions.delete(subscriptionId);
  }

  seekSubscription(subscriptionId: number, starts: SubscriptionStarts): Promise<void> {
    return this.subscriptions.seek(subscriptionId, starts);
  }

  seekToSnapshot(subscriptionId: number, snapshot: string): Promise<void> {
    return this.subscriptions.seekToSnapshot(subscriptionId, snapshot);
  }

  snapshotSubscription(
    subscriptionId: number,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    return this.subscriptions.snapshot(subscriptionId, snapshot, action);
  }
}
