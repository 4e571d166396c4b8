import { MillraceError } from "@millrace/protocol";
import { GatewayIds } from "../link/gateway-ids.ts";
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
import { type CatalogAdmin, CoordinatedAdmin } from "./catalog-admin.ts";
import { catalogDifference } from "./catalog-change.ts";
import { type AskShard, CatalogChanges, unlessRestarted } from "./catalog-changes.ts";
import { CatalogView } from "./catalog-view.ts";
import type { ClusterStatus } from "./cluster-status.ts";
import { DataPath } from "./data-path.ts";
import type { GatewayHandler, SubscriptionConsumers } from "./gateway-handler.ts";
import type { CatalogWanted, GatewayPort } from "./gateway-port.ts";
import { GroupAdmin } from "./group-admin.ts";
import { LinkTurn, type ShardSlot } from "./link-turn.ts";
import type { OutboundReader, OutboundRouting } from "./outbound-reader.ts";
import { ShardRequestTable } from "./shard-request-table.ts";
import type { ShardWay } from "./shard-way.ts";
import { SubscriptionShards } from "./subscription-shards.ts";
import { TopicShards } from "./topic-shards.ts";

/**
 * The part of a node that its gateway calls: the way to its shards, and the copy of the catalog. What runs the shards is
 * BrokerNode's. All methods belong to the thread that made it.
 */
export abstract class NodePort extends DataPath implements GatewayPort {
  readonly idStart: number;
  protected readonly slots: readonly ShardSlot[];
  protected readonly turn: LinkTurn;
  protected readonly catalog: CatalogView = new CatalogView();
  protected readonly requests: ShardRequestTable;
  /** Takes the changes of the catalog to the copy, to the gateway, and to shards of this node. */
  protected readonly changes: CatalogChanges;
  protected readonly groups: GroupAdmin;
  protected handler: GatewayHandler | undefined;
  /** Whom else the shards' answers may be for; undefined: nobody. */
  protected routing: OutboundRouting | undefined;
  readonly #topics: TopicShards;
  readonly #subscriptions: SubscriptionShards;

  /** @param ids of the gateway's requests; the gateway's others begin where they do */
  protected constructor(shards: number, doorbell: SharedArrayBuffer, ids: GatewayIds = new GatewayIds(0)) {
    const slots = Array.from({ length: shards }, (_, shardId) => ({
      shardId,
      link: undefined,
      way: undefined,
      failed: undefined,
      dirty: false,
    }));
    const turn = new LinkTurn(slots, doorbell, {
      readerOutbound: () => this.readerOutbound(),
      handler: () => this.handler,
      routing: () => this.routing,
      onSpace: (shardId) => this.onSpace(shardId),
    });
    super(slots, turn, ids.gateway);
    this.idStart = ids.start;
    this.requests = new ShardRequestTable(ids);
    this.slots = slots;
    this.turn = turn;
    const context = {
      catalog: this.catalog,
      ask: <K extends keyof ShardRequestMap>(shardId: number, kind: K, args: ShardRequestMap[K]["args"]) =>
        this.ask(shardId, kind, args),
      handler: () => this.handler,
      log: (event: string, fields: Record<string, unknown>) => this.logInfo(event, fields),
    };
    this.changes = new CatalogChanges(context);
    this.groups = new GroupAdmin({ ...context, shardCount: shards });
    this.#topics = new TopicShards(context);
    this.#subscriptions = new SubscriptionShards(context);
  }

  abstract readonly clusterId: string;
  abstract readonly ready: boolean;
  abstract readonly conditions: readonly string[];
  abstract clusterStatus(): Promise<ClusterStatus>;
  /** Who changes the catalog. */
  protected abstract readonly admin: CatalogAdmin;
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
    return this.visible(this.catalog.byName(name));
  }

  topicById(topicId: number): Topic | undefined {
    return this.visible(this.catalog.byId(topicId));
  }

  *topics(): Iterable<Topic> {
    for (const topic of this.catalog.topics()) if (this.visible(topic) !== undefined) yield topic;
  }

  /**
   * The same topic, unless clients are not to see it yet. Here they may see it at once: what they ask of its shards comes
   * behind what opens it there.
   */
  protected visible(topic: Topic | undefined): Topic | undefined {
    return topic;
  }

  consumersElsewhere(_subscriptionId: number): Promise<SubscriptionConsumers> | undefined {
    return undefined;
  }

  catchUp(_wanted: CatalogWanted): Promise<void> | undefined {
    return undefined;
  }

  ownerUrl(_shardId: number): string | undefined {
    return undefined;
  }

  createTopic(name: string, config: TopicConfig): Promise<Topic> {
    return this.admin.createTopic(name, config);
  }

  alterTopic(name: string, changes: TopicChanges): Promise<Topic> {
    return this.admin.alterTopic(name, changes);
  }

  deleteTopic(name: string): Promise<Topic> {
    return this.admin.deleteTopic(name);
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
      if (subscription.isOpening !== true) yield subscription;
    }
  }

  #made(subscription: Subscription | undefined): Subscription | undefined {
    return subscription?.isOpening === true ? undefined : subscription;
  }

  createSubscription(
    { topicId }: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    return this.admin.createSubscription(topicId, name, config, starts);
  }

  alterSubscription({ subscriptionId }: Subscription, changes: SubscriptionChanges): Promise<Subscription> {
    return this.admin.alterSubscription(subscriptionId, changes);
  }

  deleteSubscription({ subscriptionId }: Subscription): Promise<Subscription> {
    return this.admin.deleteSubscription(subscriptionId);
  }

  subscriptionState(subscription: Subscription): Promise<SubscriptionPartitionState[]> {
    return this.#subscriptions.state(subscription);
  }

  seekSubscription({ subscriptionId }: Subscription, starts: SubscriptionStarts): Promise<void> {
    return this.admin.seekSubscription(subscriptionId, starts);
  }

  seekToSnapshot({ subscriptionId }: Subscription, snapshot: string): Promise<void> {
    return this.admin.seekToSnapshot(subscriptionId, snapshot);
  }

  snapshotSubscription(
    { subscriptionId }: Subscription,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    return this.admin.snapshotSubscription(subscriptionId, snapshot, action);
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
    return this.admin.createDeadLetterTopic(topicId);
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

  groupJoin(
    subscription: Subscription,
    consumerId: number,
    held: readonly Assignment[],
    again: boolean,
  ): Promise<void> {
    return this.groups.join(subscription, consumerId, held, again);
  }

  groupLeave(subscription: Subscription, consumerId: number): Promise<void> {
    return this.groups.leave(subscription, consumerId);
  }

  groupReleased(
    subscription: Subscription,
    consumerId: number,
    assignments: readonly Assignment[],
  ): Promise<void> {
    return this.groups.released(subscription, consumerId, assignments);
  }

  /** Takes the catalog over, at the start of the node. */
  protected async loadCatalog(view: CatalogView = this.catalog): Promise<void> {
    await view.load((from) => this.ask(0, "catalog", [from]));
    await view.loadSubscriptions((from) => this.ask(0, "subscriptions", [from]));
  }

  /** What changes the catalog at a node that has all shards itself. */
  protected coordinatedAdmin(): CoordinatedAdmin {
    const ask: AskShard = (shardId, kind, args) => this.ask(shardId, kind, args);
    return new CoordinatedAdmin(
      {
        catalog: this.catalog,
        ask,
        write: (kind, args, changeOf) =>
          ask(0, kind, args).then((reply) => {
            const change = changeOf(reply);
            if (change !== undefined) void this.changes.apply(change);
            return reply;
          }),
        publish: (change) => void this.changes.apply(change),
        tell: (told) => unlessRestarted(told()),
        insist: (asked) => asked(),
        log: (event, fields) => this.logInfo(event, fields),
      },
      this.groups,
    );
  }

  /** Shard 0 was lost, and is there again: what it had written and not answered is learnt from the catalog. */
  protected async reloadCatalog(admin: CoordinatedAdmin): Promise<void> {
    const found = new CatalogView();
    await this.loadCatalog(found);
    for (const subscription of [...found.subscriptions()]) {
      if (subscription.isOpening !== true || admin.subscriptions.isMaking(subscription)) continue;
      // Never made in full: dropped, as at a start of the node.
      found.removeSubscription(subscription);
      await unlessRestarted(this.ask(0, "deleteSubscription", [subscription.subscriptionId]));
    }
    for (const change of catalogDifference(this.catalog, found)) await this.changes.apply(change, () => true);
  }

  protected ask<K extends keyof ShardRequestMap>(
    shardId: number,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): Promise<ShardRequestMap[K]["reply"]> {
    const slot = this.slot(shardId);
    if (slot.failed !== undefined && this.wayOf(slot) === undefined) {
      const message = `shard ${shardId} is out of service: ${slot.failed}`;
      return Promise.reject(new MillraceError("JOURNAL_FAILED", message, { details: { shardId } }));
    }
    return this.requests.ask(shardId, kind, args, (requestId, payload) => {
      const way = this.wayOf(slot);
      if (way === undefined) return false;
      way.request(requestId, payload);
      slot.dirty = true;
      this.turn.schedule();
      return true;
    });
  }

  /**
   * Another gateway has lost its way to this shard: has all of it forgotten there. Resolves when nothing of it is left, in
   * the rings either: whatever comes after is for those who have come after. Rejects as requests do: ask again.
   */
  protected async forgetGateway(shardId: number, gateway: number): Promise<void> {
    await this.ask(shardId, "gatewayGone", [gateway]);
    // Behind it came the last answers of the shard; and these were on their way from the reader thread.
    await this.ask(shardId, "readsAnswered", []);
  }

  /** There is room in the shard's rings again, after a claim had failed. */
  protected onSpace(shardId: number): void {
    this.handler?.onSpace(shardId);
  }

  /** The way by which the node itself asks the shard; undefined while that is down. */
  protected wayOf(slot: ShardSlot): ShardWay | undefined {
    return slot.failed === undefined ? slot.way : undefined;
  }

  protected slot(shardId: number): ShardSlot {
    const slot = this.slots[shardId];
    if (slot === undefined)
      throw new RangeError(`no such shard: shardId=${shardId} shards=${this.slots.length}`);
    return slot;
  }
}
