import {
  type AcquiredPartition,
  type Assignment,
  type CursorCommit,
  type CursorOutcome,
  type GatewayHandler,
  HomeGroups,
  homeShardOf,
  type PeekedRecord,
  type RedriveRow,
  type Subscription,
  type SubscriptionChanges,
  type SubscriptionConfig,
  type SubscriptionConsumers,
  type SubscriptionPartitionState,
  type SubscriptionPort,
  type SubscriptionStarts,
  type Topic,
} from "@millrace/broker/internal";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import type { FakePartition } from "./fake-partition.ts";

/** Where a stream subscription stands in one partition, and for whom. */
export interface FakeCursor {
  offset: number;
  logEpoch: number;
  /** Of the latest that acquired it; a seek fences that one, too. */
  epoch: number;
  sought: boolean;
}

/**
 * The control plane of subscriptions of a FakeNode: a catalog and cursors. Groups are the test's: it sees what members
 * ask of their home shard, and says what they are assigned; or real ones, after useHomes().
 */
export abstract class FakeSubscriptions implements SubscriptionPort {
  gateway = 0;
  idStart = 0;
  abstract readonly shardCount: number;
  abstract handler: GatewayHandler | undefined;
  readonly named: Map<number, Subscription> = new Map();
  readonly cursors: Map<string, FakeCursor> = new Map();
  /** What home shards were asked: `["join", consumerId, held]`, `["leave", consumerId]`, `["released", consumerId, rows]` */
  groupCalls: (readonly unknown[])[] = [];
  /** Shards that fail these requests with that error. */
  readonly refusals: Map<"acquire" | "commitCursors" | "groupJoin", MillraceError> = new Map();
  /** Holds commits back until it resolves. */
  commitGate: Promise<void> = Promise.resolve();
  #nextId = 1;
  #homes: HomeGroups[] = [];
  #homeLives = 1;
  #now: () => number = () => 0;

  abstract topicById(topicId: number): Topic | undefined;
  abstract partition(topic: Topic, partition: number): FakePartition;
  protected abstract isDown(shardId: number): boolean;
  protected abstract say(shardId: number, event: (handler: GatewayHandler) => void): void;

  // ---- catalog ----

  subscription(topicId: number, name: string): Subscription | undefined {
    for (const each of this.named.values()) if (each.topicId === topicId && each.name === name) return each;
    return undefined;
  }

  subscriptionById(subscriptionId: number): Subscription | undefined {
    return this.named.get(subscriptionId);
  }

  subscriptions(topicId?: number): Iterable<Subscription> {
    return [...this.named.values()].filter((each) => topicId === undefined || each.topicId === topicId);
  }

  async createSubscription(
    topic: Topic,
    name: string,
    config: SubscriptionConfig,
    starts: SubscriptionStarts,
  ): Promise<Subscription> {
    await Promise.resolve();
    if (this.subscription(topic.topicId, name) !== undefined) {
      throw new MillraceError("SUBSCRIPTION_EXISTS", name);
    }
    const subscriptionId = this.#nextId++;
    const { topicId } = topic;
    const made = {
      ...config,
      name,
      topicId,
      subscriptionId,
      createdMs: 1,
      catalogPosition: 1,
      snapshots: [],
    };
    this.named.set(subscriptionId, made);
    const offsets = new Map(starts);
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const { highWatermark, logEpoch } = this.partition(topic, partition);
      const offset = offsets.get(partition) ?? highWatermark;
      this.cursors.set(`${subscriptionId}/${partition}`, { offset, logEpoch, epoch: 0, sought: false });
    }
    return made;
  }

  async alterSubscription(subscription: Subscription, changes: SubscriptionChanges): Promise<Subscription> {
    const altered = { ...subscription, ...changes };
    this.named.set(subscription.subscriptionId, altered);
    this.handler?.onSubscriptionChanged(altered, false);
    return altered;
  }

  async deleteSubscription(subscription: Subscription): Promise<Subscription> {
    this.named.delete(subscription.subscriptionId);
    this.handler?.onSubscriptionDeleted(subscription);
    return subscription;
  }

  async seekSubscription(subscription: Subscription, starts: SubscriptionStarts): Promise<void> {
    for (const [partition, offset] of starts) {
      const cursor = this.cursor(subscription, partition);
      cursor.offset = offset;
      cursor.sought = true;
    }
    this.groupCalls.push(["reset"]);
    this.#home(subscription)?.reset(this.#now(), subscription.subscriptionId);
    this.handler?.onSubscriptionChanged(subscription, true);
  }

  // ---- what a test decides ----

  /** Who consumes subscriptions at other nodes, by the subscription; absent: there are no other nodes. */
  elsewhere: Map<number, SubscriptionConsumers> | undefined;

  consumersElsewhere(subscriptionId: number): Promise<SubscriptionConsumers> | undefined {
    const { elsewhere } = this;
    if (elsewhere === undefined) return undefined;
    return Promise.resolve(elsewhere.get(subscriptionId) ?? { count: 0, holders: [] });
  }

  /** What describing any subscription finds. */
  states: SubscriptionPartitionState[] = [];
  peeked: PeekedRecord[] = [];
  /** Requests of people, as they came: `["peek", …]`, `["redrive", …]`, `["snapshot", …]`, `["seekToSnapshot", …]` */
  readonly asked: (readonly unknown[])[] = [];

  async subscriptionState(): Promise<SubscriptionPartitionState[]> {
    return this.states;
  }

  async peek(
    subscription: Subscription,
    partition: number,
    fromOffset: number,
    limit: number,
  ): Promise<PeekedRecord[]> {
    this.asked.push(["peek", subscription.name, partition, fromOffset, limit]);
    return this.peeked;
  }

  async redrive(topic: Topic, rows: readonly RedriveRow[]): Promise<number> {
    this.asked.push(["redrive", topic.name, rows]);
    return rows.length;
  }

  async seekToSnapshot(subscription: Subscription, snapshot: string): Promise<void> {
    this.asked.push(["seekToSnapshot", subscription.name, snapshot]);
    if (!subscription.snapshots.includes(snapshot)) throw new MillraceError("UNKNOWN_SNAPSHOT", snapshot);
  }

  async snapshotSubscription(
    subscription: Subscription,
    snapshot: string,
    action: "create" | "delete",
  ): Promise<Subscription> {
    this.asked.push(["snapshot", subscription.name, snapshot, action]);
    const others = subscription.snapshots.filter((name) => name !== snapshot);
    const changed = { ...subscription, snapshots: action === "create" ? [...others, snapshot] : others };
    this.named.set(subscription.subscriptionId, changed);
    return changed;
  }

  async createDeadLetterTopic(topicId: number): Promise<Topic> {
    this.asked.push(["createDeadLetterTopic", topicId]);
    throw new MillraceError("SHARD_RESTARTED", "shard 0 is down");
  }

  async deadLetters(topic: Topic, partition: number, fromOffset: number, limit: number): Promise<number[]> {
    this.asked.push(["deadLetters", topic.name, partition, fromOffset, limit]);
    return this.peeked.map(([, , offset]) => offset);
  }

  // ---- cursors ----

  cursor({ subscriptionId }: Subscription, partition: number): FakeCursor {
    return this.cursors.get(`${subscriptionId}/${partition}`) as FakeCursor;
  }

  async acquire(
    subscription: Subscription,
    rows: readonly (readonly [partition: number, assignmentEpoch: number])[],
  ): Promise<AcquiredPartition[]> {
    const topic = this.topicById(subscription.topicId) as Topic;
    await Promise.resolve();
    this.#refuse("acquire");
    return rows.map(([partition, epoch]) => {
      if (this.isDown(topic.shards[partition] as number)) throw new MillraceError("SHARD_RESTARTED", "down");
      const cursor = this.cursor(subscription, partition);
      const { logStartOffset, highWatermark, logEpoch } = this.partition(topic, partition);
      const refused = epoch < cursor.epoch || (cursor.sought && epoch === cursor.epoch);
      if (!refused) Object.assign(cursor, { epoch, sought: false });
      const { offset, logEpoch: cursorLogEpoch } = cursor;
      return { partition, refused, offset, cursorLogEpoch, logStartOffset, highWatermark, logEpoch };
    });
  }

  async commitCursors(subscription: Subscription, rows: readonly CursorCommit[]): Promise<CursorOutcome[]> {
    await this.commitGate;
    this.#refuse("commitCursors");
    return rows.map(([partition, epoch, offset, logEpoch]) => {
      const cursor = this.cursor(subscription, partition);
      if (epoch !== cursor.epoch || cursor.sought) {
        return [partition, offset, ERROR_CODES.ASSIGNMENT_LOST.code] as const;
      }
      Object.assign(cursor, { offset, logEpoch });
      return [partition, offset, 0] as const;
    });
  }

  // ---- groups ----

  async groupJoin(
    subscription: Subscription,
    consumerId: number,
    held: readonly Assignment[],
    again: boolean,
  ): Promise<void> {
    this.#askHome(subscription);
    this.#refuse("groupJoin");
    this.groupCalls.push(["join", consumerId, held]);
    const { subscriptionId, topicId } = subscription;
    const partitions = this.topicById(topicId)?.partitions ?? 0;
    this.#home(subscription)?.join(this.#now(), subscriptionId, partitions, consumerId, held, again);
  }

  async groupLeave(subscription: Subscription, consumerId: number): Promise<void> {
    this.#askHome(subscription);
    this.groupCalls.push(["leave", consumerId]);
    this.#home(subscription)?.leave(this.#now(), subscription.subscriptionId, consumerId);
  }

  async groupReleased(
    subscription: Subscription,
    consumerId: number,
    assignments: readonly Assignment[],
  ): Promise<void> {
    this.#askHome(subscription);
    this.groupCalls.push(["released", consumerId, assignments]);
    const { subscriptionId } = subscription;
    this.#home(subscription)?.released(this.#now(), subscriptionId, consumerId, assignments);
  }

  /** From now on groups are as a shard has them. */
  useHomes(now: () => number): void {
    this.#now = now;
    this.#homes = Array.from({ length: this.shardCount }, (_, shardId) => this.#newHome(shardId));
  }

  /** The home shards do what is due. */
  homeWork(): void {
    this.#homes.forEach((home, shardId) => {
      if (!this.isDown(shardId)) home.work(this.#now());
    });
  }

  /** The shard is lost, and what it knew of its groups with it. */
  protected loseHome(shardId: number): void {
    if (this.#homes.length > 0) this.#homes[shardId] = this.#newHome(shardId);
  }

  #newHome(shardId: number): HomeGroups {
    return new HomeGroups(this.#homeLives++, (notice) => {
      this.say(shardId, (handler) => handler.onNotice(shardId, notice));
      return true;
    });
  }

  #home({ topicId, name }: Subscription): HomeGroups | undefined {
    return this.#homes[homeShardOf(topicId, name, this.shardCount)];
  }

  /** The home shard tells a member. */
  tellMember(
    subscription: Subscription,
    consumerId: number,
    assigned: readonly Assignment[],
    revoked: readonly Assignment[] = [],
    withinMs = 30_000,
  ): void {
    const { topicId, name, subscriptionId } = subscription;
    const home = homeShardOf(topicId, name, this.shardCount);
    this.handler?.onNotice(home, ["assignment", subscriptionId, consumerId, assigned, revoked, withinMs]);
  }

  #askHome({ topicId, name }: Subscription): void {
    if (!this.isDown(homeShardOf(topicId, name, this.shardCount))) return;
    throw new MillraceError("SHARD_RESTARTED", "down");
  }

  #refuse(kind: "acquire" | "commitCursors" | "groupJoin"): void {
    const refusal = this.refusals.get(kind);
    if (refusal !== undefined) throw refusal;
  }
}
