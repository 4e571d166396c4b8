import { MillraceError } from "@millrace/protocol";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { Assignment } from "../subscription/group-coordinator.ts";
import type {
  AcquiredPartition,
  CursorCommit,
  CursorOutcome,
  PeekedRecord,
  RedriveRow,
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionPartitionState,
  SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { PartitionBounds, Topic, TopicChanges, TopicConfig } from "../topic.ts";
import { CatalogView } from "./catalog-view.ts";
import { DataPath } from "./data-path.ts";
import type { GatewayHandler } from "./gateway-handler.ts";
import type { GatewayPort } from "./gateway-port.ts";
import { GroupAdmin } from "./group-admin.ts";
import { LinkTurn, type ShardSlot } from "./link-turn.ts";
import type { OutboundReader } from "./outbound-reader.ts";
import { ShardRequestTable } from "./shard-request-table.ts";
import { SubscriptionAdmin } from "./subscription-admin.ts";
import { TopicAdmin } from "./topic-admin.ts";

/**
 * The part of a node that its gateway calls: the way to its shards, and the copy of the catalog. What runs the shards is
 * BrokerNode's. All methods belong to the thread that made it.
 */
export abstract class NodePort extends DataPath implements GatewayPort {
  protected readonly slots: readonly ShardSlot[];
  protected readonly turn: LinkTurn;
  protected readonly catalog: CatalogView = new CatalogView();
  protected readonly requests: ShardRequestTable = new ShardRequestTable();
  protected handler: GatewayHandler | undefined;
  readonly #topics: TopicAdmin;
  readonly #groups: GroupAdmin;
  readonly #subscriptions: SubscriptionAdmin;

  protected constructor(shards: number, threads: number, doorbell: SharedArrayBuffer) {
    const slots = Array.from({ length: shards }, (_, shardId) => ({
      shardId,
      thread: shardId % threads,
      link: undefined,
      failed: undefined,
      dirty: false,
    }));
    const turn = new LinkTurn(slots, doorbell, {
      readerOutbound: () => this.readerOutbound(),
      handler: () => this.handler,
    });
    super(slots, turn);
    this.slots = slots;
    this.turn = turn;
    const context = {
      catalog: this.catalog,
      ask: <K extends keyof ShardRequestMap>(shardId: number, kind: K, args: ShardRequestMap[K]["args"]) =>
        this.ask(shardId, kind, args),
      handler: () => this.handler,
      log: (event: string, fields: Record<string, unknown>) => this.logInfo(event, fields),
    };
    this.#topics = new TopicAdmin(context);
    this.#groups = new GroupAdmin({ ...context, shardCount: shards });
    this.#subscriptions = new SubscriptionAdmin(context, this.#topics, this.#groups);
  }

  abstract readonly ready: boolean;
  abstract readonly conditions: readonly string[];
  protected abstract readerOutbound(): OutboundReader | undefined;
  protected abstract logInfo(event: string, fields: Record<string, unknown>): void;

  /** The gateway that is told of everything from here on. Before the node starts. */
  attach(handler: GatewayHandler): void {
    this.handler = handler;
  }

  get shardCount(): number {
    return this.slots.length;
  }

  topicByName(name: string): Topic | undefined {
    return this.catalog.byName(name);
  }

  topicById(topicId: number): Topic | undefined {
    return this.catalog.byId(topicId);
  }

  topics(): Iterable<Topic> {
    return this.catalog.topics();
  }

  createTopic(name: string, config: TopicConfig): Promise<Topic> {
    return this.#topics.create(name, config);
  }

  alterTopic(name: string, changes: TopicChanges): Promise<Topic> {
    return this.#topics.alter(name, changes);
  }

  deleteTopic(name: string): Promise<Topic> {
    return this.#topics.delete(name);
  }

  bounds(topic: Topic, partitions: readonly number[]): Promise<PartitionBounds[]> {
    return this.#topics.bounds(topic, partitions);
  }

  truncateTopic(topic: Topic, starts: readonly (readonly [number, number])[]): Promise<PartitionBounds[]> {
    return this.#topics.truncate(topic, starts);
  }

  offsetForTime(topic: Topic, partition: number, timeMs: number): Promise<number> {
    return this.#topics.offsetForTime(topic, partition, timeMs);
  }

  subscription(topicId: number, name: string): Subscription | undefined {
    return this.#made(this.catalog.subscription(topicId, name));
  }

  subscriptionById(subscriptionId: number): Subscription | undefined {
    return this.#made(this.catalog.subscriptionById(subscriptionId));
  }

  *subscriptions(topicId?: number): Iterable<Subscription> {
    for (const subscription of this.catalog.subscriptions(topicId)) {
      if (this.#subscriptions.isMade(subscription)) yield subscription;
    }
  }

  #made(subscription: Subscription | undefined): Subscription | undefined {
    return subscription === undefined || this.#subscriptions.isMade(subscription) ? subscription : undefined;
  }

  createSubscription(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    return this.#subscriptions.create(topic, name, config, starts);
  }

  alterSubscription(subscription: Subscription, changes: SubscriptionChanges): Promise<Subscription> {
    return this.#subscriptions.alter(subscription, changes);
  }

  deleteSubscription(subscription: Subscription): Promise<Subscription> {
    return this.#subscriptions.delete(subscription);
  }

  subscriptionState(subscription: Subscription): Promise<SubscriptionPartitionState[]> {
    return this.#subscriptions.state(subscription);
  }

  seekSubscription(subscription: Subscription, starts: SubscriptionStarts): Promise<void> {
    return this.#subscriptions.seek(subscription, starts);
  }

  seekToSnapshot(subscription: Subscription, snapshot: string): Promise<void> {
    return this.#subscriptions.seekToSnapshot(subscription, snapshot);
  }

  snapshotSubscription(
    subscription: Subscription,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    return this.#subscriptions.snapshot(subscription, snapshot, action);
  }

  peek(
    subscription: Subscription,
    partition: number,
    fromOffset: number,
    limit: number,
  ): Promise<PeekedRecord[]> {
    return this.#subscriptions.peek(subscription, partition, fromOffset, limit);
  }

  deadLetters(topic: Topic, partition: number, fromOffset: number, limit: number): Promise<number[]> {
    return this.#subscriptions.deadLetters(topic, partition, fromOffset, limit);
  }

  redrive(topic: Topic, rows: readonly RedriveRow[]): Promise<number> {
    return this.#subscriptions.redrive(topic, rows);
  }

  createDeadLetterTopic(topicId: number): Promise<Topic> {
    return this.#subscriptions.createDeadLetterTopic(topicId);
  }

  acquire(
    subscription: Subscription,
    rows: readonly (readonly [partition: number, assignmentEpoch: number])[],
  ): Promise<AcquiredPartition[]> {
    return this.#subscriptions.acquire(subscription, rows);
  }

  commitCursors(subscription: Subscription, rows: readonly CursorCommit[]): Promise<CursorOutcome[]> {
    return this.#subscriptions.commitCursors(subscription, rows);
  }

  groupJoin(subscription: Subscription, consumerId: number, held: readonly Assignment[]): Promise<void> {
    return this.#groups.join(subscription, consumerId, held);
  }

  groupLeave(subscription: Subscription, consumerId: number): Promise<void> {
    return this.#groups.leave(subscription, consumerId);
  }

  groupReleased(
    subscription: Subscription,
    consumerId: number,
    assignments: readonly Assignment[],
  ): Promise<void> {
    return this.#groups.released(subscription, consumerId, assignments);
  }

  /** Takes the catalog over, at the start of the node. */
  protected async loadCatalog(view: CatalogView = this.catalog): Promise<void> {
    await view.load((from) => this.ask(0, "catalog", [from]));
    await view.loadSubscriptions((from) => this.ask(0, "subscriptions", [from]));
  }

  /** Shard 0 was lost, and is there again. */
  protected async reloadCatalog(): Promise<void> {
    const found = new CatalogView();
    await this.loadCatalog(found);
    await this.#topics.adopt(found);
    await this.#subscriptions.adopt(found);
  }

  protected ask<K extends keyof ShardRequestMap>(
    shardId: number,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): Promise<ShardRequestMap[K]["reply"]> {
    const slot = this.slot(shardId);
    if (slot.failed !== undefined) {
      const message = `shard ${shardId} is out of service: ${slot.failed}`;
      return Promise.reject(new MillraceError("JOURNAL_FAILED", message, { details: { shardId } }));
    }
    return this.requests.ask(shardId, kind, args, (requestId, payload) => {
      if (slot.link === undefined || slot.failed !== undefined) return false;
      slot.link.request(requestId, payload);
      slot.dirty = true;
      this.turn.schedule();
      return true;
    });
  }

  protected slot(shardId: number): ShardSlot {
    const slot = this.slots[shardId];
    if (slot === undefined)
      throw new RangeError(`no such shard: shardId=${shardId} shards=${this.slots.length}`);
    return slot;
  }
}
