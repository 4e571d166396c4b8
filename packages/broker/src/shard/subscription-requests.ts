import { MillraceError } from "@millrace/protocol";
import type {
  CursorCommit,
  PeekedRecord,
  RedriveRow,
  Subscription,
  SubscriptionChanges,
  SubscriptionConfig,
  SubscriptionStarts,
} from "../subscription/subscription.ts";
import type { CatalogWriter } from "./catalog-writer.ts";
import type { RequestContext, RequestHandlers } from "./request-context.ts";

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
  snapshots: readonly string[],
];

/** A partition of a subscription; oldestAgeMs and blockedOffset are -1 for none. See SubscriptionPartitionState. */
export type SubscriptionStateRow = readonly [
  partition: number,
  position: number,
  logStartOffset: number,
  highWatermark: number,
  available: number,
  leased: number,
  waiting: number,
  redelivered: number,
  dead: number,
  oldestAgeMs: number,
  blockedOffset: number,
];

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

/** Requests about subscriptions. What is asked about a subscription is asked of each shard about its partitions. */
export interface SubscriptionRequestMap {
  /** Shard 0: subscriptions from the given number on, as many as one answer holds; none behind the last. */
  subscriptions: { args: [from: number]; reply: Subscription[] };
  /** Shard 0: appends the subscription's record to `$catalog`; answered when that is committed. */
  createSubscription: {
    args: [topicId: number, name: string, config: SubscriptionConfig];
    reply: Subscription;
  };
  /** Shard 0: as createSubscription. What `changes` leaves out stays; `snapshots` replaces them. */
  alterSubscription: {
    args: [subscriptionId: number, changes: SubscriptionChanges & { readonly snapshots?: readonly string[] }];
    reply: Subscription;
  };
  deleteSubscription: {
    args: [subscriptionId: number];
    reply: { subscription: Subscription; catalogPosition: number };
  };
  /** Begins in the shard's partitions of its topic: where `starts` says, else at the end. Answered when durable. */
  subscribe: { args: [subscription: SubscriptionOpening, starts: SubscriptionStarts]; reply: number };
  configureSubscription: { args: [subscription: SubscriptionOpening]; reply: number };
  unsubscribe: { args: [subscriptionId: number]; reply: number };
  /**
   * At start, behind `reconcile`: exactly the subscriptions of all these pages up to the last exist. What the shard lacks
   * begins at the end of its logs. Answered when durable.
   */
  reconcileSubscriptions: {
    args: [subscriptions: readonly SubscriptionOpening[], isLast: boolean];
    reply: number;
  };
  subscriptionState: { args: [subscriptionId: number]; reply: SubscriptionStateRow[] };
  seek: { args: [subscriptionId: number, starts: SubscriptionStarts]; reply: number };
  seekToSnapshot: { args: [subscriptionId: number, snapshot: string]; reply: number };
  snapshot: { args: [subscriptionId: number, snapshot: string, action: "create" | "delete"]; reply: number };
  acquire: {
    args: [subscriptionId: number, rows: readonly (readonly [partition: number, assignmentEpoch: number])[]];
    reply: AcquiredRow[];
  };
  /** Replies the outcomes, in the order asked. */
  commitCursors: { args: [subscriptionId: number, rows: readonly CursorCommit[]]; reply: number[] };
  peek: {
    args: [subscriptionId: number, partition: number, fromOffset: number, limit: number];
    reply: PeekedRecord[];
  };
  deadLetters: {
    args: [topicId: number, partition: number, fromOffset: number, limit: number];
    reply: number[];
  };
  redrive: { args: [topicId: number, rows: readonly RedriveRow[]]; reply: number };
}

/** Answers requests about subscriptions. Shard thread only. */
export class SubscriptionRequests {
  readonly handlers: RequestHandlers<SubscriptionRequestMap> = {
    subscriptions: (_args, done) => done([]),
    createSubscription: unsupported,
    alterSubscription: unsupported,
    deleteSubscription: unsupported,
    subscribe: unsupported,
    configureSubscription: unsupported,
    unsubscribe: unsupported,
    reconcileSubscriptions: ([list], done) => done(list.length),
    subscriptionState: unsupported,
    seek: unsupported,
    seekToSnapshot: unsupported,
    snapshot: unsupported,
    acquire: unsupported,
    commitCursors: unsupported,
    peek: unsupported,
    deadLetters: unsupported,
    redrive: unsupported,
  };

  constructor(_context: RequestContext, _writer: CatalogWriter) {}
}

function unsupported(): never {
  throw new MillraceError("UNSUPPORTED_FEATURE", "not there yet");
}
