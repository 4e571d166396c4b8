import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { CatalogChange } from "../node/catalog-change.ts";
import type { Subscription } from "../subscription/subscription.ts";
import type { Topic } from "../topic.ts";

/**
 * A place in what the coordinator tells the other nodes. Marks are ordered by the epoch of shard 0, then by the sequence: who has
 * come as far as a mark of an epoch knows everything that was told before, also by the coordinators of earlier epochs.
 */
export interface CatalogMark {
  /** Of shard 0's opening. */
  readonly epoch: number;
  /** Of the last change; counts up by one. */
  readonly sequence: number;
}

/** Payload of the event CATALOG_EVENT that the coordinator pushes to all nodes linked to it, in order, once each. */
export interface CatalogPush {
  readonly mark: CatalogMark;
  readonly change: CatalogChange;
}

export const CATALOG_EVENT = "catalog";

/**
 * What a node calls at the coordinator; the first argument of all of them is the epoch of shard 0 that the caller means, and
 * whoever is not the coordinator of that epoch answers SHARD_RESTARTED.
 *
 *     catalogPage      [epoch, topicsAfter, subscriptionsAfter]  -> CatalogPage
 *     catalogPosition  [epoch, wanted]                           -> CatalogMark
 *     catalogReached   [epoch, sequence]                         -> null: the caller's copy has come so far
 *     admin            [epoch, method of CatalogAdmin, ...args]  -> AdminReply
 */
export const CATALOG_RPC = {
  PAGE: "catalogPage",
  POSITION: "catalogPosition",
  REACHED: "catalogReached",
  ADMIN: "admin",
} as const;

/**
 * Topics and subscriptions with ids above those asked for, in the order of their ids; subscriptions begin behind the last
 * topic. Pages are not of one moment: with all changes from the first page's mark on they make up the catalog.
 */
export interface CatalogPage {
  /** As it was when the page was made. */
  readonly mark: CatalogMark;
  readonly topics: readonly Topic[];
  /** Ids of those topics that no client is to be told of yet. */
  readonly unmade: readonly number[];
  readonly subscriptions: readonly Subscription[];
  readonly isLast: boolean;
}

export interface AdminReply {
  readonly value: unknown;
  /** Whoever has come so far knows what was done. */
  readonly mark: CatalogMark;
}

/** The way to the coordinator of one epoch, over one connection or in this process. Dropped when that ends. */
export interface CatalogSource {
  /** Of shard 0's opening, as the map has it. */
  readonly epoch: number;
  /** Rejects with MillraceError; SHARD_RESTARTED when the way is lost. */
  call(method: string, args: readonly unknown[], timeoutMs?: number): Promise<unknown>;
}

/** Says who is asked for what only the coordinator does. Nothing was done. */
export function notCoordinator(): MillraceError {
  return new MillraceError("SHARD_RESTARTED", "this node does not coordinate the catalog", {
    details: { shardId: 0, retryAfterMs: BROKER_LIMITS.retryAfterMs, notBegun: true },
  });
}

/** Whether it is certain that nothing was done: it can be asked for again, by whoever asked. */
export function isNotBegun(error: unknown): boolean {
  return error instanceof MillraceError && error.details.notBegun === true;
}

/** Whether somebody who has come to `mark` knows what is told at `wanted`. */
export function hasReached(mark: CatalogMark, wanted: CatalogMark): boolean {
  return mark.epoch > wanted.epoch || (mark.epoch === wanted.epoch && mark.sequence >= wanted.sequence);
}
