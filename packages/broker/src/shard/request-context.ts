import type { Journal } from "@millrace/journal";
import { MillraceError } from "@millrace/protocol";
import type { Dispatcher } from "../subscription/dispatcher.ts";
import type { HomeGroups } from "../subscription/home-groups.ts";
import type { Clock } from "./clock.ts";
import type { EntrySource } from "./entry-source.ts";
import type { GatewayDepartures } from "./gateway-departures.ts";
import type { LogStarts } from "./log-starts.ts";
import type { OwnAppends } from "./own-appends.ts";
import type { Partition } from "./partition.ts";
import type { ShardState, StateChange } from "./shard-state.ts";
import { unknownSubscription } from "./subscription-catalog.ts";
import type { ShardSubscription } from "./subscription-table.ts";
import type { Upkeep } from "./upkeep.ts";

/** What the shard lends to its requests. */
export interface RequestContext {
  readonly state: ShardState;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logStarts: LogStarts;
  /** Batches that are in memory, or can be fetched. */
  readonly entries: EntrySource;
  readonly ownAppends: OwnAppends;
  readonly upkeep: Upkeep;
  readonly dispatcher: Dispatcher;
  readonly homeGroups: HomeGroups;
  reply(requestId: number, payload: Uint8Array): void;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
  stageChanges(changes: readonly StateChange[]): void;
  readonly departures: GatewayDepartures;
  /** Of the next two the reader thread will give the answer to the request. */
  awaitReads(requestId: number): void;
  findTime(partition: Partition, requestId: number, timeMs: number): void;
}

/** Answers a request. */
export type Done<Reply> = (reply: Reply) => void;

/** A kind of request: what stands behind its name, and what is answered. */
export interface RequestShape {
  readonly args: readonly unknown[];
  readonly reply: unknown;
}

/** A handler for each kind of request in `Map`; one whose request is answered by somebody else ignores `done`. */
export type RequestHandlers<Map extends Record<keyof Map, RequestShape>> = {
  readonly [K in keyof Map]: (args: Map[K]["args"], done: Done<Map[K]["reply"]>, requestId: number) => void;
};

/** @throws MillraceError UNKNOWN_PARTITION */
export function knownPartition(state: ShardState, topicId: number, partition: number): Partition {
  const found = state.find(topicId, partition);
  if (found === undefined) {
    throw new MillraceError(
      "UNKNOWN_PARTITION",
      `no such partition: topicId=${topicId} partition=${partition}`,
      {
        details: { topicId, partition },
      },
    );
  }
  return found;
}

/** @throws MillraceError UNKNOWN_SUBSCRIPTION */
export function knownSubscription(state: ShardState, subscriptionId: number): ShardSubscription {
  const found = state.subscriptions.get(subscriptionId);
  if (found === undefined) throw unknownSubscription(subscriptionId);
  return found;
}
