import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import {
  type CursorCommit,
  MODE_KEYED,
  MODE_STREAM,
  type RedriveRow,
  type SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { QueueSettings } from "../subscription/subscription-queue.ts";
import { type Partition, partitionKey } from "./partition.ts";
import {
  type Done,
  knownPartition,
  knownSubscription,
  type RequestContext,
  type RequestHandlers,
} from "./request-context.ts";
import type { SubscriptionChange } from "./subscription-changes.ts";
import type { QueuePart, ShardSubscription, StreamCursor } from "./subscription-table.ts";

/** What a shard is told of a subscription. `mode`: index into SUBSCRIPTION_MODES. */
export type SubscriptionOpening = readonly [
  subscriptionId: number,
  topicId: number,
  mode: number,
  leaseMs: number,
  maxDeliveries: number,
  backoffMinMs: number,
  backoffMaxMs: number,
  paused: boolean,
  name: string,
  topicName: string,
  snapshots: readonly string[],
  /** It is being made: only `subscribe` says where it starts. Absent = no. */
  isOpening?: boolean,
];

/** Places in a SubscriptionOpening. */
const SNAPSHOTS = 10;
const IS_OPENING = 11;

/** See AcquiredPartition. */
export type AcquiredRow = readonly [
  partition: number,
  refused: boolean,
  offset: number,
  cursorLogEpoch: number,
  logStartOffset: number,
  highWatermark: number,
  logEpoch: number,
];

/** Requests that change subscriptions, to each shard for its partitions; answered when that is durable. */
export interface SubscriptionRequestMap {
  /** Begins in the shard's partitions of its topic: where `starts` says, else at the end. */
  subscribe: { args: [subscription: SubscriptionOpening, starts: SubscriptionStarts]; reply: number };
  configureSubscription: { args: [subscription: SubscriptionOpening]; reply: number };
  unsubscribe: { args: [subscriptionId: number]; reply: number };
  /**
   * At start, behind `reconcile`: exactly the subscriptions of all these pages up to the last exist. What the shard lacks
   * begins at the end of its logs, unless it is being made: who makes it has not come here yet, or comes again.
   */
  reconcileSubscriptions: {
    args: [subscriptions: readonly SubscriptionOpening[], isLast: boolean];
    reply: number;
  };
  seek: { args: [subscriptionId: number, starts: SubscriptionStarts]; reply: number };
  /** Partitions without such a snapshot stay. */
  seekToSnapshot: { args: [subscriptionId: number, snapshot: string]; reply: number };
  snapshot: { args: [subscriptionId: number, snapshot: string, action: "create" | "delete"]; reply: number };
  /** In the order asked. */
  acquire: {
    args: [subscriptionId: number, rows: readonly (readonly [partition: number, assignmentEpoch: number])[]];
    reply: AcquiredRow[];
  };
  /** Replies the outcomes, in the order asked. */
  commitCursors: { args: [subscriptionId: number, rows: readonly CursorCommit[]]; reply: number[] };
  redrive: { args: [topicId: number, rows: readonly RedriveRow[]]; reply: number };
}

/** Changes in one entry of the journal. */
const ENTRY_CHANGES_MAX = 2048;

/** Changes where subscriptions stand. Shard thread only. */
export class SubscriptionRequests {
  readonly handlers: RequestHandlers<SubscriptionRequestMap> = {
    subscribe: (args, done) => this.#subscribe(args, done),
    configureSubscription: (args, done) => this.#configure(args, done),
    unsubscribe: (args, done) => this.#unsubscribe(args, done),
    reconcileSubscriptions: (args, done) => this.#reconcile(args, done),
    seek: (args, done) => this.#seek(args, done),
    seekToSnapshot: (args, done) => this.#seekToSnapshot(args, done),
    snapshot: (args, done) => this.#snapshot(args, done),
    acquire: (args, done) => this.#acquire(args, done),
    commitCursors: (args, done) => this.#commitCursors(args, done),
    redrive: (args, done) => this.#redrive(args, done),
  };
  readonly #context: RequestContext;
  /** Of the pages that reconcile the shard so far. */
  #reconciled: Set<number> = new Set();

  constructor(context: RequestContext) {
    this.#context = context;
  }

  #subscribe([opening, starts]: SubscriptionRequestMap["subscribe"]["args"], done: Done<number>): void {
    const changes = this.#beginnings(opening, new Map(starts));
    this.#change(changes, () => done(changes.length));
    this.#opened(opening);
  }

  /** The changes that begin a subscription where it has no position yet. */
  #beginnings(
    [subscriptionId, topicId, mode]: SubscriptionOpening,
    starts: ReadonlyMap<number, number>,
  ): SubscriptionChange[] {
    const { subscriptions } = this.#context.state;
    const found = subscriptions.get(subscriptionId);
    const changes: SubscriptionChange[] = [];
    for (const partition of this.#context.state.ofTopic(topicId)) {
      const { partition: number, nextOffset, logStartOffset, logEpoch } = partition;
      if (found !== undefined && partOf(found, partition) !== undefined) continue;
      const offset = Math.min(Math.max(starts.get(number) ?? nextOffset, logStartOffset), nextOffset);
      changes.push(["subscribe", subscriptionId, topicId, number, mode, offset, logEpoch]);
    }
    return changes;
  }

  /** Gives a subscription its settings, and the dispatcher its queues. */
  #opened(opening: SubscriptionOpening): void {
    const { state, dispatcher } = this.#context;
    const subscription = state.subscriptions.get(opening[0]);
    if (subscription === undefined || subscription.mode === MODE_STREAM) return;
    const settings = settingsOf(opening);
    subscription.settings = settings;
    dispatcher.open(settings, [...subscription.queues.values()]);
  }

  #configure([opening]: SubscriptionRequestMap["configureSubscription"]["args"], done: Done<number>): void {
    const subscription = this.#context.state.subscriptions.get(opening[0]);
    if (subscription === undefined) {
      done(0);
      return;
    }
    if (subscription.mode !== MODE_STREAM) {
      subscription.settings = settingsOf(opening);
      this.#context.dispatcher.configure(subscription.settings);
    }
    done(1);
  }

  #unsubscribe([subscriptionId]: SubscriptionRequestMap["unsubscribe"]["args"], done: Done<number>): void {
    this.#context.dispatcher.close(subscriptionId);
    const isThere = this.#context.state.subscriptions.get(subscriptionId) !== undefined;
    this.#change(isThere ? [["unsubscribe", subscriptionId]] : [], () => done(isThere ? 1 : 0));
  }

  #reconcile(
    [openings, isLast]: SubscriptionRequestMap["reconcileSubscriptions"]["args"],
    done: Done<number>,
  ): void {
    const { subscriptions } = this.#context.state;
    const changes: SubscriptionChange[] = [];
    for (const opening of openings) {
      this.#reconciled.add(opening[0]);
      // Made while the shard was away, and never confirmed: where it was to begin is not known any more.
      if (opening[IS_OPENING] !== true) changes.push(...this.#beginnings(opening, new Map()));
      changes.push(...this.#forgotten(opening));
    }
    if (isLast) {
      for (const { subscriptionId } of subscriptions.all()) {
        if (!this.#reconciled.has(subscriptionId)) changes.push(["unsubscribe", subscriptionId]);
      }
      this.#reconciled = new Set();
    }
    this.#change(changes, () => done(openings.length));
    for (const opening of openings) this.#opened(opening);
  }

  /** Snapshots that the catalog does not name. */
  #forgotten(opening: SubscriptionOpening): SubscriptionChange[] {
    const [subscriptionId, topicId] = opening;
    const names = new Set(opening[SNAPSHOTS]);
    const found = this.#context.state.subscriptions.get(subscriptionId);
    const changes: SubscriptionChange[] = [];
    for (const part of partsOf(found)) {
      for (const name of part.snapshots?.keys() ?? []) {
        if (names.has(name)) continue;
        changes.push(["snapshot", subscriptionId, topicId, part.partition.partition, name, "delete"]);
      }
    }
    return changes;
  }

  #seek([subscriptionId, starts]: SubscriptionRequestMap["seek"]["args"], done: Done<number>): void {
    const subscription = knownSubscription(this.#context.state, subscriptionId);
    const { topicId } = subscription;
    const moved: QueuePart[] = [];
    const changes = starts.map(([number, wanted]): SubscriptionChange => {
      const partition = knownPartition(this.#context.state, topicId, number);
      const { logStartOffset, highWatermark, logEpoch } = partition;
      const offset = Math.min(Math.max(wanted, logStartOffset), highWatermark);
      const part = partOf(subscription, partition);
      if (part !== undefined && "state" in part) moved.push(part);
      return ["seek", subscriptionId, topicId, number, offset, logEpoch];
    });
    this.#move(moved, changes, done);
  }

  #seekToSnapshot(
    [subscriptionId, snapshot]: SubscriptionRequestMap["seekToSnapshot"]["args"],
    done: Done<number>,
  ): void {
    const subscription = knownSubscription(this.#context.state, subscriptionId);
    const { topicId } = subscription;
    const parts = partsOf(subscription).filter((part) => part.snapshots?.has(snapshot));
    const changes = parts.map(({ partition: { partition } }): SubscriptionChange => {
      return ["return", subscriptionId, topicId, partition, snapshot];
    });
    this.#move(
      parts.filter((part): part is QueuePart => "state" in part),
      changes,
      done,
    );
  }

  /** Moves positions: what is leased there is given up, and what was settled before stands before it in the journal. */
  #move(queues: readonly QueuePart[], changes: readonly SubscriptionChange[], done: Done<number>): void {
    const { dispatcher } = this.#context;
    this.#checkRoom("no position can be moved");
    for (const queue of queues) dispatcher.endLeases(queue);
    this.#change(changes, () => done(changes.length));
    for (const queue of queues) dispatcher.wake(queue);
  }

  #snapshot(
    [subscriptionId, name, action]: SubscriptionRequestMap["snapshot"]["args"],
    done: Done<number>,
  ): void {
    const subscription = knownSubscription(this.#context.state, subscriptionId);
    const { topicId } = subscription;
    const changes = partsOf(subscription)
      .filter(({ partition }) => partition.topicId === topicId)
      .map(({ partition: { partition } }): SubscriptionChange => {
        return ["snapshot", subscriptionId, topicId, partition, name, action];
      });
    this.#change(changes, () => done(changes.length));
  }

  #acquire(
    [subscriptionId, rows]: SubscriptionRequestMap["acquire"]["args"],
    done: Done<AcquiredRow[]>,
  ): void {
    const subscription = knownSubscription(this.#context.state, subscriptionId);
    const { subscriptions } = this.#context.state;
    const acquired = rows.map(([number, assignmentEpoch]): AcquiredRow => {
      const cursor = cursorOf(subscription, number);
      const { offset, logEpoch: cursorLogEpoch, partition } = cursor;
      const { assignmentEpoch: current, sought } = cursor;
      const refused = assignmentEpoch < current || (sought && assignmentEpoch === current);
      if (!refused) {
        // Not journaled: after a restart a holder is known again by its next commit.
        subscriptions.acquired(cursor, assignmentEpoch);
      }
      const { logStartOffset, highWatermark, logEpoch } = partition;
      return [number, refused, offset, cursorLogEpoch, logStartOffset, highWatermark, logEpoch];
    });
    // A position that is not durable is nobody's to go on from.
    this.#context.afterCommit(() => done(acquired));
  }

  #commitCursors(
    [subscriptionId, rows]: SubscriptionRequestMap["commitCursors"]["args"],
    done: Done<number[]>,
  ): void {
    const subscription = knownSubscription(this.#context.state, subscriptionId);
    const changes: SubscriptionChange[] = [];
    const outcomes = rows.map(([number, assignmentEpoch, offset, logEpoch]) => {
      const { assignmentEpoch: current, sought, partition } = cursorOf(subscription, number);
      if (assignmentEpoch < current || (sought && assignmentEpoch === current)) {
        return ERROR_CODES.ASSIGNMENT_LOST.code;
      }
      if (offset > partition.highWatermark) return ERROR_CODES.OFFSET_OUT_OF_RANGE.code;
      const { topicId } = subscription;
      changes.push(["cursor", subscriptionId, topicId, number, offset, logEpoch, assignmentEpoch]);
      return 0;
    });
    this.#change(changes, () => done(outcomes));
  }

  #redrive([topicId, rows]: SubscriptionRequestMap["redrive"]["args"], done: Done<number>): void {
    const { state, dispatcher } = this.#context;
    const { subscriptions } = state;
    this.#checkRoom("nothing can be redriven");
    /** The subscription of each letter, by its offset. */
    const byPartition = new Map<Partition, Map<number, number>>();
    const woken = new Set<QueuePart>();
    for (const [number, offset, subscriptionId] of rows) {
      const partition = knownPartition(state, topicId, number);
      const subscription = subscriptions.get(subscriptionId);
      if (subscription === undefined || subscription.settings === undefined) continue;
      if (state.deadLetterTopics.get(subscription.topicId) !== topicId) continue;
      if (offset < partition.logStartOffset || offset >= partition.highWatermark) continue;
      const letters = byPartition.get(partition) ?? new Map<number, number>();
      if (subscriptions.isRedriven(partition, offset) || letters.has(offset)) continue;
      const isNew = partOf(subscription, partition) === undefined;
      const queue = subscriptions.redriveQueue(subscription, partition);
      if (isNew) dispatcher.open(subscription.settings, [queue]);
      // The queue is full.
      if (!queue.state.select(offset)) continue;
      letters.set(offset, subscriptionId);
      byPartition.set(partition, letters);
      woken.add(queue);
    }
    const changes: SubscriptionChange[] = [];
    for (const [partition, letters] of byPartition)
      changes.push(["redrive", topicId, partition.partition, [...letters].flat()]);
    const count = [...byPartition.values()].reduce((sum, letters) => sum + letters.size, 0);
    this.#change(changes, () => done(count));
    for (const queue of woken) dispatcher.wake(queue);
  }

  /** To be called before anything changes that cannot be journaled then. @throws MillraceError DISK_FULL */
  #checkRoom(consequence: string): void {
    if (!this.#context.journal.isFull) return;
    throw new MillraceError("DISK_FULL", `the disk is full: ${consequence}`, {
      details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
    });
  }

  /** Stages and applies changes; `done` runs when they are durable. */
  #change(changes: readonly SubscriptionChange[], done: () => void): void {
    const { state, stageChanges, afterCommit } = this.#context;
    for (let from = 0; from < changes.length; from += ENTRY_CHANGES_MAX) {
      stageChanges(changes.slice(from, from + ENTRY_CHANGES_MAX));
    }
    for (const change of changes) state.applyChange(change);
    if (changes.length === 0) done();
    else afterCommit(done);
  }
}

/** The position in a partition, if there is one. */
function partOf(
  { cursors, queues }: ShardSubscription,
  partition: Partition,
): StreamCursor | QueuePart | undefined {
  const queue = queues.get(partitionKey(partition.topicId, partition.partition));
  if (queue !== undefined) return queue;
  const cursor = cursors.get(partition.partition);
  return cursor?.partition === partition ? cursor : undefined;
}

function partsOf(subscription: ShardSubscription | undefined): (StreamCursor | QueuePart)[] {
  if (subscription === undefined) return [];
  return [...subscription.cursors.values(), ...subscription.queues.values()];
}

function cursorOf({ subscriptionId, topicId, cursors }: ShardSubscription, partition: number): StreamCursor {
  const cursor = cursors.get(partition);
  if (cursor === undefined) {
    throw new MillraceError(
      "UNKNOWN_PARTITION",
      `no cursor in this partition: subscriptionId=${subscriptionId} partition=${partition}`,
      { details: { topicId, partition } },
    );
  }
  return cursor;
}

function settingsOf(opening: SubscriptionOpening): QueueSettings {
  const [subscriptionId, topicId, mode, leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs] = opening;
  const [, , , , , , , paused, name, topicName] = opening;
  return {
    subscriptionId,
    name,
    topicId,
    topicName,
    keyed: mode === MODE_KEYED,
    leaseMs,
    maxDeliveries,
    backoffMinMs,
    backoffMaxMs,
    paused,
  };
}
