import { AckLedger } from "../subscription/ack-ledger.ts";
import { QueueState } from "../subscription/queue-state.ts";
import { MODE_KEYED, MODE_STREAM } from "../subscription/subscription.ts";
import type { QueueSettings, SubscriptionQueue } from "../subscription/subscription-queue.ts";
import type { Clock } from "./clock.ts";
import { type Partition, partitionKey } from "./partition.ts";
import type { SubscriptionChange } from "./subscription-changes.ts";

/** Where a stream subscription stands in one partition. */
export interface StreamCursor {
  readonly partition: Partition;
  /** The next offset that is wanted. */
  offset: number;
  /** The partition's when the cursor was set. */
  logEpoch: number;
  /** Of the newest holder; 0 = nobody has held it. */
  assignmentEpoch: number;
  /** The cursor was moved since that holder acquired it: what it commits is of no account. */
  sought: boolean;
  snapshots: Map<string, readonly [offset: number, logEpoch: number]> | undefined;
}

/** Where a queue or keyed subscription stands in one partition, of its topic or of the topic's dead letters. */
export interface QueuePart extends SubscriptionQueue {
  /** Encoded states. */
  snapshots: Map<string, Uint8Array> | undefined;
}

/** A subscription's part in the partitions of this shard. */
export interface ShardSubscription {
  readonly subscriptionId: number;
  readonly topicId: number;
  /** Index into SUBSCRIPTION_MODES. */
  readonly mode: number;
  /** Mode stream: by partition. */
  readonly cursors: Map<number, StreamCursor>;
  /** Other modes: by partitionKey. */
  readonly queues: Map<number, QueuePart>;
  /** Known from reconciliation on. */
  settings: QueueSettings | undefined;
}

/**
 * Where all subscriptions stand in the partitions of a shard: what its journal says of them. Leases are not in it.
 * Shard thread only.
 */
export class SubscriptionTable {
  readonly #clock: Clock;
  readonly #find: (topicId: number, partition: number) => Partition;
  readonly #subscriptions: Map<number, ShardSubscription> = new Map();
  #positions = 0;
  /** Ids by topic. */
  readonly #byTopic: Map<number, Set<number>> = new Map();
  /** By partitionKey: queues that hold back what an acknowledging topic gives up. */
  readonly #queuesOf: Map<number, Set<QueuePart>> = new Map();
  /** By partitionKey of a dead-letter topic: what was redriven from it. */
  readonly #redriven: Map<number, AckLedger> = new Map();

  /** @param find the partition that a journal entry speaks of; made when it is not there. */
  constructor(clock: Clock, find: (topicId: number, partition: number) => Partition) {
    this.#clock = clock;
    this.#find = find;
  }

  /** Subscriptions with a part in this shard. */
  get size(): number {
    return this.#subscriptions.size;
  }

  /** Positions of them all: a cursor or a queue each. */
  get positions(): number {
    return this.#positions;
  }

  get(subscriptionId: number): ShardSubscription | undefined {
    return this.#subscriptions.get(subscriptionId);
  }

  all(): Iterable<ShardSubscription> {
    return this.#subscriptions.values();
  }

  /** Queues over this partition. */
  queuesOf(partition: Partition): ReadonlySet<QueuePart> | undefined {
    return this.#queuesOf.get(keyOf(partition));
  }

  redriven(): Iterable<readonly [key: number, ledger: AckLedger]> {
    return this.#redriven;
  }

  isRedriven(partition: Partition, offset: number): boolean {
    return this.#redriven.get(keyOf(partition))?.isFinished(offset) ?? false;
  }

  /** The first offset from `from` on that was not redriven. */
  nextDeadLetter(partition: Partition, from: number): number {
    return this.#redriven.get(keyOf(partition))?.nextUnfinished(from) ?? from;
  }

  /** Applies a change that the journal holds or is to hold. "dead" only once its batch is there too. */
  apply(change: SubscriptionChange): void {
    switch (change[0]) {
      case "subscribe": {
        const [, subscriptionId, topicId, partition, mode, offset, logEpoch] = change;
        const subscription = this.subscribed(subscriptionId, topicId, mode);
        const at = this.#find(topicId, partition);
        if (mode === MODE_STREAM) {
          this.putCursor(subscription, newCursor(at, offset, logEpoch));
        } else {
          this.putQueue(subscription, at, new QueueState({ keyed: mode === MODE_KEYED, start: offset }));
        }
        break;
      }
      case "unsubscribe":
        this.remove(change[1]);
        break;
      case "acks": {
        const [, , , , ranges] = change;
        const state = this.#queue(change)?.state;
        for (let at = 0; at < ranges.length; at += 2) {
          state?.ack(ranges[at] as number, ranges[at + 1] as number);
        }
        break;
      }
      case "retries":
        this.#retry(this.#queue(change), change[4]);
        break;
      case "dead": {
        const queue = this.#queue(change);
        if (queue?.state.dead(change[4])) queue.dead += 1;
        break;
      }
      case "redrive":
        this.#redrive(this.#find(change[1], change[2]), change[3]);
        break;
      case "cursor": {
        const cursor = this.#cursor(change);
        if (cursor === undefined) break;
        cursor.offset = change[4];
        cursor.logEpoch = change[5];
        cursor.assignmentEpoch = change[6];
        cursor.sought = false;
        break;
      }
      case "seek":
        this.#seek(change[1], change[2], change[3], change[4], change[5]);
        break;
      case "snapshot":
        this.#snapshot(change[1], change[2], change[3], change[4], change[5]);
        break;
      case "return":
        this.#return(change[1], change[2], change[3], change[4]);
        break;
    }
  }

  /** The subscription, which is made when there is none. */
  subscribed(subscriptionId: number, topicId: number, mode: number): ShardSubscription {
    let found = this.#subscriptions.get(subscriptionId);
    if (found === undefined) {
      found = {
        subscriptionId,
        topicId,
        mode,
        cursors: new Map(),
        queues: new Map(),
        settings: undefined,
      };
      this.#subscriptions.set(subscriptionId, found);
      const ofTopic = this.#byTopic.get(topicId);
      if (ofTopic === undefined) this.#byTopic.set(topicId, new Set([subscriptionId]));
      else ofTopic.add(subscriptionId);
    }
    return found;
  }

  /** Takes a cursor's place in its partition, or makes one. */
  putCursor(subscription: ShardSubscription, cursor: StreamCursor): void {
    if (!subscription.cursors.has(cursor.partition.partition)) this.#positions += 1;
    subscription.cursors.set(cursor.partition.partition, cursor);
  }

  /** Takes a queue's place over a partition, or makes one. */
  putQueue(subscription: ShardSubscription, partition: Partition, state: QueueState): QueuePart {
    const key = keyOf(partition);
    this.#dropQueue(subscription, key);
    const { subscriptionId } = subscription;
    const queue: QueuePart = {
      subscriptionId,
      partition,
      state,
      redelivered: 0,
      dead: 0,
      snapshots: undefined,
    };
    subscription.queues.set(key, queue);
    this.#positions += 1;
    let ofPartition = this.#queuesOf.get(key);
    if (ofPartition === undefined) {
      ofPartition = new Set();
      this.#queuesOf.set(key, ofPartition);
    }
    ofPartition.add(queue);
    return queue;
  }

  putRedriven(partition: Partition, ledger: AckLedger): void {
    this.#redriven.set(keyOf(partition), ledger);
  }

  remove(subscriptionId: number): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    if (subscription === undefined) return;
    for (const key of subscription.queues.keys()) this.#dropQueue(subscription, key);
    this.#subscriptions.delete(subscriptionId);
    this.#positions -= subscription.cursors.size;
    const ofTopic = this.#byTopic.get(subscription.topicId);
    ofTopic?.delete(subscriptionId);
    if (ofTopic?.size === 0) this.#byTopic.delete(subscription.topicId);
  }

  /** The partition is gone with its topic, and so are the topic's subscriptions. */
  closePartition(partition: Partition): void {
    const key = keyOf(partition);
    this.#redriven.delete(key);
    for (const { subscriptionId } of this.#queuesOf.get(key) ?? []) {
      const subscription = this.#subscriptions.get(subscriptionId);
      if (subscription !== undefined) this.#dropQueue(subscription, key);
    }
    for (const subscriptionId of this.#byTopic.get(partition.topicId) ?? []) this.remove(subscriptionId);
  }

  /** The queue of a subscription over redriven dead letters; made when there is none. */
  redriveQueue(subscription: ShardSubscription, partition: Partition): QueuePart {
    const found = subscription.queues.get(keyOf(partition));
    if (found !== undefined) return found;
    const keyed = subscription.mode === MODE_KEYED;
    return this.putQueue(
      subscription,
      partition,
      new QueueState({ keyed, start: partition.logStartOffset, selected: true }),
    );
  }

  #dropQueue(subscription: ShardSubscription, key: number): void {
    const queue = subscription.queues.get(key);
    if (queue === undefined) return;
    subscription.queues.delete(key);
    this.#positions -= 1;
    const ofPartition = this.#queuesOf.get(key);
    ofPartition?.delete(queue);
    if (ofPartition?.size === 0) this.#queuesOf.delete(key);
  }

  /** Of a change that speaks of one. */
  #queue(change: readonly [string, number, number, number, ...unknown[]]): QueuePart | undefined {
    return this.#subscriptions.get(change[1])?.queues.get(partitionKey(change[2], change[3]));
  }

  #cursor(change: readonly [string, number, number, number, ...unknown[]]): StreamCursor | undefined {
    return this.#subscriptions.get(change[1])?.cursors.get(change[3]);
  }

  #retry(queue: QueuePart | undefined, rows: readonly number[]): void {
    if (queue === undefined) return;
    const toMonotonicMs = this.#clock.monotonicMs() - this.#clock.wallMs();
    for (let at = 0; at < rows.length; at += 3) {
      const notBeforeMs = Math.max(0, (rows[at + 2] as number) + toMonotonicMs);
      if (queue.state.retry(rows[at] as number, rows[at + 1] as number, notBeforeMs)) queue.redelivered += 1;
    }
  }

  #redrive(partition: Partition, rows: readonly number[]): void {
    const key = keyOf(partition);
    let ledger = this.#redriven.get(key);
    if (ledger === undefined) {
      ledger = new AckLedger(partition.logStartOffset);
      this.#redriven.set(key, ledger);
    }
    for (let at = 0; at < rows.length; at += 2) {
      const offset = rows[at] as number;
      ledger.finish(offset, 1);
      const subscription = this.#subscriptions.get(rows[at + 1] as number);
      if (subscription === undefined || subscription.mode === MODE_STREAM) continue;
      const queue = this.redriveQueue(subscription, partition);
      queue.state.select(offset);
      // It was counted where it died; a letter that has died twice, in the other one.
      const own = subscription.queues.get(partitionKey(subscription.topicId, partition.partition));
      (own ?? queue).dead -= 1;
    }
  }

  #seek(subscriptionId: number, topicId: number, partition: number, offset: number, logEpoch: number): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    subscription?.queues.get(partitionKey(topicId, partition))?.state.seek(offset);
    const cursor = subscription?.cursors.get(partition);
    if (cursor === undefined) return;
    cursor.offset = offset;
    cursor.logEpoch = logEpoch;
    cursor.sought = true;
  }

  #snapshot(
    subscriptionId: number,
    topicId: number,
    partition: number,
    name: string,
    action: "create" | "delete",
  ): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    const cursor = subscription?.cursors.get(partition);
    const queue = subscription?.queues.get(partitionKey(topicId, partition));
    if (action === "delete") {
      cursor?.snapshots?.delete(name);
      queue?.snapshots?.delete(name);
      return;
    }
    if (cursor !== undefined) {
      cursor.snapshots ??= new Map();
      cursor.snapshots.set(name, [cursor.offset, cursor.logEpoch]);
    }
    if (queue !== undefined) {
      queue.snapshots ??= new Map();
      queue.snapshots.set(name, queue.state.encode(this.#clock.monotonicMs(), this.#clock.wallMs()));
    }
  }

  #return(subscriptionId: number, topicId: number, partition: number, name: string): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    const queue = subscription?.queues.get(partitionKey(topicId, partition));
    const bytes = queue?.snapshots?.get(name);
    if (queue !== undefined && bytes !== undefined) {
      queue.state.returnTo(bytes, this.#clock.monotonicMs(), this.#clock.wallMs());
    }
    const position = subscription?.cursors.get(partition)?.snapshots?.get(name);
    if (position !== undefined) this.#seek(subscriptionId, topicId, partition, position[0], position[1]);
  }
}

export function newCursor(partition: Partition, offset: number, logEpoch: number): StreamCursor {
  return { partition, offset, logEpoch, assignmentEpoch: 0, sought: false, snapshots: undefined };
}

function keyOf({ topicId, partition }: Partition): number {
  return partitionKey(topicId, partition);
}
