import { AckLedger } from "../subscription/ack-ledger.ts";
import type { QueueChange } from "../subscription/queue-change.ts";
import { QueueState } from "../subscription/queue-state.ts";
import { MODE_KEYED, MODE_STREAM } from "../subscription/subscription.ts";
import type { QueueSettings, SubscriptionQueue } from "../subscription/subscription-queue.ts";
import type { Clock } from "./clock.ts";
import { type Partition, partitionKey } from "./partition.ts";
import type { SubscriptionChange } from "./subscription-changes.ts";
import { PositionImage } from "./subscription-image.ts";

/** Where a stream subscription stands in one partition. */
export interface StreamCursor {
  readonly subscription: ShardSubscription;
  readonly partition: Partition;
  /** The next offset that is wanted. */
  offset: number;
  /** The partition's when the cursor was set. */
  logEpoch: number;
  /** Of the newest holder; 0 = nobody has held it. */
  assignmentEpoch: number;
  /** The cursor was moved since that holder acquired it: what it commits is of no account. */
  sought: boolean;
  /** In the checkpoint's image. */
  row: number;
  snapshots: Map<string, readonly [offset: number, logEpoch: number]> | undefined;
}

/** Where a queue or keyed subscription stands in one partition, of its topic or of the topic's dead letters. */
export interface QueuePart extends SubscriptionQueue {
  readonly subscription: ShardSubscription;
  /** In the checkpoint's image. */
  readonly row: number;
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
  /** Of the positions, for checkpoints. */
  readonly image: PositionImage;
  #positions = 0;
  readonly #withSnapshots: Set<StreamCursor | QueuePart> = new Set();
  /** Ids by topic. */
  readonly #byTopic: Map<number, Set<number>> = new Map();
  /** By partitionKey: queues that hold back what an acknowledging topic gives up. */
  readonly #queuesOf: Map<number, Set<QueuePart>> = new Map();
  /** By partitionKey of a dead-letter topic: what was redriven from it. */
  readonly #redriven: Map<number, AckLedger> = new Map();

  /** @param find the partition that a journal entry speaks of; made when it is not there. */
  constructor(clock: Clock, find: (topicId: number, partition: number) => Partition) {
    this.#clock = clock;
    this.image = new PositionImage(clock);
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

  /** Ids of the subscriptions to a topic. */
  ofTopic(topicId: number): Iterable<number> {
    return this.#byTopic.get(topicId) ?? [];
  }

  /** Queues over this partition. */
  queuesOf(partition: Partition): ReadonlySet<QueuePart> | undefined {
    return this.#queuesOf.get(keyOf(partition));
  }

  withSnapshots(): Iterable<StreamCursor | QueuePart> {
    return this.#withSnapshots;
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
          this.putCursor(newCursor(subscription, at, offset, logEpoch));
        } else {
          this.putQueue(subscription, at, new QueueState({ keyed: mode === MODE_KEYED, start: offset }));
        }
        break;
      }
      case "unsubscribe":
        this.remove(change[1]);
        break;
      case "acks":
      case "retries":
      case "dead":
        this.#applyToQueue(change);
        break;
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
        this.image.changed(cursor);
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

  /** A change was staged that has been applied already: by whoever gives the records to consumers. */
  staged(change: QueueChange): void {
    const queue = this.#queue(change);
    if (queue !== undefined) this.image.changed(queue);
  }

  /** The holder of a partition has changed, of which the journal says nothing. */
  acquired(cursor: StreamCursor, assignmentEpoch: number): void {
    cursor.assignmentEpoch = assignmentEpoch;
    cursor.sought = false;
    this.image.changed(cursor);
  }

  putSnapshot(
    cursor: StreamCursor,
    name: string,
    position: readonly [offset: number, logEpoch: number],
  ): void;
  putSnapshot(queue: QueuePart, name: string, state: Uint8Array): void;
  putSnapshot(part: StreamCursor | QueuePart, name: string, position: unknown): void {
    const snapshots: Map<string, unknown> = part.snapshots ?? new Map();
    snapshots.set(name, position);
    part.snapshots = snapshots as never;
    this.#withSnapshots.add(part);
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

  /** Takes a cursor's place in its partition, or is the first. */
  putCursor(cursor: StreamCursor): void {
    const { cursors } = cursor.subscription;
    this.#dropCursor(cursors.get(cursor.partition.partition));
    cursor.row = this.image.add();
    cursors.set(cursor.partition.partition, cursor);
    this.#positions += 1;
    this.image.changed(cursor);
  }

  /** Takes a queue's place over a partition, or makes one. */
  putQueue(subscription: ShardSubscription, partition: Partition, state: QueueState): QueuePart {
    const key = keyOf(partition);
    this.#dropQueue(subscription, key);
    const { subscriptionId } = subscription;
    const queue: QueuePart = {
      subscription,
      row: this.image.add(),
      subscriptionId,
      partition,
      state,
      redelivered: 0,
      dead: 0,
      snapshots: undefined,
    };
    subscription.queues.set(key, queue);
    this.#positions += 1;
    this.image.changed(queue);
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
    for (const cursor of subscription.cursors.values()) this.#dropCursor(cursor);
    this.#subscriptions.delete(subscriptionId);
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

  #dropCursor(cursor: StreamCursor | undefined): void {
    if (cursor === undefined) return;
    cursor.subscription.cursors.delete(cursor.partition.partition);
    this.#forget(cursor);
  }

  #forget(part: StreamCursor | QueuePart): void {
    this.#positions -= 1;
    this.#withSnapshots.delete(part);
    this.image.remove(part);
  }

  #dropQueue(subscription: ShardSubscription, key: number): void {
    const queue = subscription.queues.get(key);
    if (queue === undefined) return;
    subscription.queues.delete(key);
    this.#forget(queue);
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

  #applyToQueue(change: QueueChange): void {
    const queue = this.#queue(change);
    if (queue === undefined) return;
    this.image.changed(queue);
    if (change[0] === "retries") this.#retry(queue, change[4]);
    else if (change[0] === "dead") {
      if (queue.state.dead(change[4])) queue.dead += 1;
    } else {
      const ranges = change[4];
      for (let at = 0; at < ranges.length; at += 2) {
        queue.state.ack(ranges[at] as number, ranges[at + 1] as number);
      }
    }
  }

  #retry(queue: QueuePart, rows: readonly number[]): void {
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
    // Nobody asks about what is not there any more.
    ledger.finish(ledger.floor, Math.max(0, partition.logStartOffset - ledger.floor));
    for (let at = 0; at < rows.length; at += 2) {
      const offset = rows[at] as number;
      ledger.finish(offset, 1);
      const subscription = this.#subscriptions.get(rows[at + 1] as number);
      if (subscription === undefined || subscription.mode === MODE_STREAM) continue;
      // Its own topic, which is no topic of dead letters to it.
      if (subscription.topicId === partition.topicId) continue;
      const queue = this.redriveQueue(subscription, partition);
      queue.state.select(offset);
      this.image.changed(queue);
      // It was counted where it died; a letter that has died twice, in the other one.
      const own = subscription.queues.get(partitionKey(subscription.topicId, partition.partition));
      (own ?? queue).dead -= 1;
      this.image.changed(own ?? queue);
    }
  }

  #seek(subscriptionId: number, topicId: number, partition: number, offset: number, logEpoch: number): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    const queue = subscription?.queues.get(partitionKey(topicId, partition));
    if (queue !== undefined) {
      queue.state.seek(offset);
      this.image.changed(queue);
    }
    const cursor = subscription?.cursors.get(partition);
    if (cursor === undefined) return;
    cursor.offset = offset;
    cursor.logEpoch = logEpoch;
    cursor.sought = true;
    this.image.changed(cursor);
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
      for (const part of [cursor, queue]) {
        part?.snapshots?.delete(name);
        if (part?.snapshots?.size === 0) this.#withSnapshots.delete(part);
      }
      return;
    }
    if (cursor !== undefined) this.putSnapshot(cursor, name, [cursor.offset, cursor.logEpoch]);
    if (queue !== undefined) {
      const state = queue.state.encode(this.#clock.monotonicMs(), this.#clock.wallMs());
      this.putSnapshot(queue, name, state);
    }
  }

  #return(subscriptionId: number, topicId: number, partition: number, name: string): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    const queue = subscription?.queues.get(partitionKey(topicId, partition));
    const bytes = queue?.snapshots?.get(name);
    if (queue !== undefined && bytes !== undefined) {
      queue.state.returnTo(bytes, this.#clock.monotonicMs(), this.#clock.wallMs());
      this.image.changed(queue);
    }
    const position = subscription?.cursors.get(partition)?.snapshots?.get(name);
    if (position !== undefined) this.#seek(subscriptionId, topicId, partition, position[0], position[1]);
  }
}

export function newCursor(
  subscription: ShardSubscription,
  partition: Partition,
  offset: number,
  logEpoch: number,
): StreamCursor {
  return {
    subscription,
    partition,
    offset,
    logEpoch,
    assignmentEpoch: 0,
    sought: false,
    row: -1,
    snapshots: undefined,
  };
}

function keyOf({ topicId, partition }: Partition): number {
  return partitionKey(topicId, partition);
}
