import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { type CatalogAdmin, CoordinatedAdmin } from "../node/catalog-admin.ts";
import { type CatalogChange, catalogDifference } from "../node/catalog-change.ts";
import { type AskShard, unlessRestarted } from "../node/catalog-changes.ts";
import { CatalogView } from "../node/catalog-view.ts";
import type { CatalogWanted } from "../node/gateway-port.ts";
import type { GroupAdmin } from "../node/group-admin.ts";
import type { CatalogAdminContext, CatalogWrite } from "../node/topic-admin.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import type { Topic } from "../topic.ts";
import {
  type AdminReply,
  type CatalogMark,
  type CatalogPage,
  type CatalogPush,
  notCoordinator,
} from "./catalog-feed.ts";
import { catalogPage } from "./catalog-pages.ts";
import { CATALOG_TIMES, type CatalogTimer, pause, within } from "./catalog-timing.ts";

/** Changes that a coordinator makes in a ms, at most. */
const SEQUENCES_PER_MS = 1_024;

export interface CatalogCoordinatorContext {
  /** Of shard 0, as it was opened: this coordinator's alone. */
  readonly epoch: number;
  /** The node's copy, which `apply` keeps up to date. */
  readonly catalog: CatalogView;
  /** Whether the copy has followed an earlier coordinator: then what it lacks may not have been made in full. */
  readonly hasFollowed: boolean;
  /** Asks a shard, wherever it is. */
  readonly ask: AskShard;
  readonly groups: GroupAdmin;
  /** CatalogFollower.lead of this node: it is told first, and has done it when this returns. */
  readonly apply: (mark: CatalogMark, change: CatalogChange) => void;
  /** To all nodes that are linked to this one (PeerServer.push(CATALOG_EVENT, …)). */
  readonly push: (push: CatalogPush) => void;
  readonly timer: CatalogTimer;
  readonly log: (level: "info" | "warn", event: string, fields: Record<string, unknown>) => void;
}

/**
 * Changes the catalog for the whole cluster, and tells all nodes of each change. The owner of shard 0 has one for each of its
 * openings: `start` when the shard is open, before any other shard is reconciled; `stop` before it is closed, or as soon as it is
 * lost. Main thread.
 */
export class CatalogCoordinator {
  readonly epoch: number;
  readonly #context: CatalogCoordinatorContext;
  readonly #admin: CoordinatedAdmin;
  /** What is being made, by what whoever looks for it knows. */
  readonly #making: Map<string, Promise<unknown>> = new Map();
  /** Other nodes, and how far each has come. */
  readonly #followers: Map<number, number> = new Map();
  /** Those who wait for other nodes. */
  readonly #waiting: Set<() => void> = new Set();
  #sequence: number;
  /** Offset of the newest record of `$catalog` that was told of. */
  #position = -1;
  #state: "starting" | "running" | "stopped" = "starting";
  /** Writes to shard 0 that were not answered. */
  #writing = 0;
  /** Nobody knows what became of a write: the catalog has to be read again before anything else is done. */
  #doubt: Promise<void> | undefined;

  constructor(context: CatalogCoordinatorContext) {
    this.#context = context;
    this.epoch = context.epoch;
    // Above that of an earlier one of the same epoch, which was stopped: whoever followed that one misses something, and loads.
    this.#sequence = Math.ceil(context.timer.monotonicMs()) * SEQUENCES_PER_MS;
    this.#admin = new CoordinatedAdmin(this.#adminContext(), context.groups);
  }

  get mark(): CatalogMark {
    return { epoch: this.epoch, sequence: this.#sequence };
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  /**
   * Takes the catalog over from shard 0. What an earlier coordinator has left half done is finished afterwards, by itself.
   * @throws MillraceError SHARD_RESTARTED and the like: shard 0 is gone, or another's
   */
  async start(): Promise<void> {
    const { ask, catalog, hasFollowed, log } = this.#context;
    this.#position = await ask(0, "catalogPosition", []);
    const found = await this.#read();
    if (this.#state !== "starting") throw restarted();
    const unmade = hasFollowed ? [...found.topics()].filter(({ topicId }) => !isKnown(catalog, topicId)) : [];
    for (const topic of unmade) found.unmake(topic);
    this.#state = "running";
    // The other nodes load the catalog when they hear of the new coordinator.
    for (const change of catalogDifference(catalog, found)) this.#context.apply(this.mark, change);
    log("info", "catalog-coordinator", { epoch: this.epoch, position: this.#position });
    for (const topic of unmade) this.#finish(topic);
    this.#dropUnmade(found);
  }

  /** What is under way fails as soon as it comes to shard 0 again. */
  stop(): void {
    this.#state = "stopped";
  }

  // ---- calls of other nodes, and of this one ----

  /** @throws MillraceError as CatalogAdmin, or SHARD_RESTARTED */
  async admin(method: string, args: readonly unknown[]): Promise<AdminReply> {
    await this.#ready();
    const run = ADMIN_METHODS[method as keyof CatalogAdmin];
    if (run === undefined) throw new MillraceError("INTERNAL", `the catalog has no method ${method}`);
    const value = await this.#tracked(makingKeys(method, args), run(this.#admin, args));
    const { mark } = this;
    await this.#everywhere(mark.sequence);
    return { value, mark };
  }

  /** The copy of another node has come so far: from now on changes are not said to be done before it has them. */
  reached(nodeId: number, sequence: number): void {
    this.#followers.set(nodeId, Math.max(sequence, this.#followers.get(nodeId) ?? 0));
    for (const look of this.#waiting) look();
  }

  /**
   * The mark behind everything that was committed before this was called; when it is answered, no later coordinator had
   * committed anything at that time. What is `wanted` is waited for a moment, if it is being made.
   */
  async position(wanted: readonly CatalogWanted[]): Promise<CatalogMark> {
    const making = wanted.map((thing) => this.#making.get(keyOf(thing))).filter((made) => made !== undefined);
    if (making.length > 0) {
      await within(this.#context.timer, CATALOG_TIMES.makingMs, Promise.allSettled(making));
    }
    await this.#ready();
    const position = await this.#context.ask(0, "catalogPosition", []);
    if (position > this.#position) this.#startDoubt("a record that was not told of");
    await this.#ready();
    return this.mark;
  }

  async page(topicsAfter: number, subscriptionsAfter: number): Promise<CatalogPage> {
    await this.#ready();
    return catalogPage(this.#context.catalog, this.mark, topicsAfter, subscriptionsAfter);
  }

  async #ready(): Promise<void> {
    while (this.#doubt !== undefined) await this.#doubt;
    if (this.#state !== "running") throw notCoordinator();
  }

  // ---- changes ----

  #adminContext(): CatalogAdminContext {
    const { catalog, log } = this.#context;
    return {
      catalog,
      ask: (shardId, kind, args) =>
        this.#state === "running" ? this.#context.ask(shardId, kind, args) : Promise.reject(restarted()),
      write: (kind, args, changeOf) => this.#write(kind, args, changeOf),
      publish: (change) => this.#publish(change),
      tell: (ask) => this.#tell(ask),
      insist: (ask) => this.#insist(ask),
      log: (event, fields) => log("info", event, fields),
    };
  }

  #write<K extends CatalogWrite>(
    kind: K,
    args: ShardRequestMap[K]["args"],
    changeOf: (reply: ShardRequestMap[K]["reply"]) => CatalogChange | undefined,
  ): Promise<ShardRequestMap[K]["reply"]> {
    // Before it is clear what became of an earlier write nobody may build on it.
    if (this.#state !== "running" || this.#doubt !== undefined) return Promise.reject(restarted());
    this.#writing += 1;
    return this.#context.ask(0, kind, args).then(
      (reply) => {
        this.#writing -= 1;
        // Told by whoever comes next.
        if (this.#state !== "running") throw restarted();
        const change = changeOf(reply);
        if (change !== undefined) {
          this.#position = Math.max(this.#position, positionOf(reply));
          this.#publish(change);
        }
        return reply;
      },
      (error: unknown) => {
        this.#writing -= 1;
        // Not refused, but not answered: it may be written all the same.
        if (error instanceof MillraceError && error.code === "INTERNAL") this.#startDoubt(error.message);
        throw error;
      },
    );
  }

  /**
   * Waits until the nodes that follow have come so far: whoever is told that something is done finds it so wherever it looks
   * next. Those that do not come in time are not waited for any more until they say that they are there again.
   */
  async #everywhere(sequence: number): Promise<void> {
    const followers = this.#followers;
    const isThere = (): boolean => {
      for (const reached of followers.values()) if (reached < sequence) return false;
      return true;
    };
    if (isThere()) return;
    const there = new Promise<true>((resolve) => {
      const look = (): void => {
        if (!isThere()) return;
        this.#waiting.delete(look);
        resolve(true);
      };
      this.#waiting.add(look);
    });
    if ((await within(this.#context.timer, CATALOG_TIMES.everywhereMs, there)) === true) return;
    for (const [nodeId, reached] of followers) if (reached < sequence) followers.delete(nodeId);
    for (const look of this.#waiting) look();
  }

  #publish(change: CatalogChange): void {
    if (this.#state !== "running") throw restarted();
    this.#sequence += 1;
    const { mark } = this;
    this.#context.apply(mark, change);
    this.#context.push({ mark, change });
  }

  /** A shard that is away is waited for, since others may reach it before it has heard of the change; but not for ever. */
  async #tell(ask: () => Promise<unknown>): Promise<void> {
    try {
      await this.#insist(ask);
    } catch (error) {
      // Its node tells it, as soon as that has heard of it, or reconciles it.
      await unlessRestarted(Promise.reject(error));
    }
  }

  async #insist<T>(ask: () => Promise<T>): Promise<T> {
    const { timer } = this.#context;
    const giveUpAtMs = timer.monotonicMs() + CATALOG_TIMES.shardAwayMs;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        const isAway = error instanceof MillraceError && error.code === "SHARD_RESTARTED";
        if (!isAway || this.#state !== "running" || timer.monotonicMs() >= giveUpAtMs) throw error;
      }
      await pause(timer, CATALOG_TIMES.shardRetryMs);
    }
  }

  async #tracked<T>(keys: readonly string[], made: Promise<T>): Promise<T> {
    // The first who makes it: whoever comes second learns that it is there before it is made.
    for (const key of keys) if (!this.#making.has(key)) this.#making.set(key, made);
    try {
      return await made;
    } finally {
      for (const key of keys) if (this.#making.get(key) === made) this.#making.delete(key);
    }
  }

  // ---- what others left behind ----

  #finish(topic: Topic): void {
    const { name, topicId } = topic;
    const finished = this.#admin.topics.finish(topic);
    this.#tracked([keyOf({ topic: name }), keyOf({ topicId })], finished).catch((error: unknown) => {
      this.#context.log("warn", "topic-not-finished", { topic: name, topicId, error: String(error) });
    });
  }

  #dropUnmade(found: CatalogView): void {
    for (const subscription of found.subscriptions()) {
      if (subscription.isOpening !== true || this.#admin.subscriptions.isMaking(subscription)) continue;
      const { subscriptionId } = subscription;
      this.#admin.deleteSubscription(subscriptionId).catch((error: unknown) => {
        this.#context.log("warn", "subscription-not-dropped", { subscriptionId, error: String(error) });
      });
    }
  }

  #startDoubt(reason: string): void {
    if (this.#doubt !== undefined) return;
    this.#context.log("warn", "catalog-in-doubt", { reason });
    this.#doubt = this.#readAgain().then((found) => {
      this.#doubt = undefined;
      if (found === undefined) return;
      const { catalog } = this.#context;
      const unmade = [...found.topics()].filter(({ topicId }) => catalog.byId(topicId) === undefined);
      for (const topic of unmade) found.unmake(topic);
      for (const change of catalogDifference(catalog, found)) this.#publish(change);
      for (const topic of unmade) this.#finish(topic);
      this.#dropUnmade(found);
    });
  }

  /** The catalog as it is now; undefined when this coordinator is stopped meanwhile. */
  async #readAgain(): Promise<CatalogView | undefined> {
    const { ask, timer, log } = this.#context;
    while (this.#state === "running") {
      await pause(timer, CATALOG_TIMES.shardRetryMs);
      if (this.#writing > 0) continue;
      try {
        this.#position = await ask(0, "catalogPosition", []);
        const found = await this.#read();
        return this.#state === "running" ? found : undefined;
      } catch (error) {
        log("warn", "catalog-not-read", { error: String(error) });
      }
    }
    return undefined;
  }

  /** Nobody writes meanwhile. */
  async #read(): Promise<CatalogView> {
    const { ask } = this.#context;
    const found = new CatalogView();
    await found.load((from) => ask(0, "catalog", [from]));
    await found.loadSubscriptions((from) => ask(0, "subscriptions", [from]));
    return found;
  }
}

type AdminMethods = {
  readonly [K in keyof CatalogAdmin]: (admin: CatalogAdmin, args: readonly unknown[]) => Promise<unknown>;
};

/** Nodes of one release call each other: the arguments are what CatalogAdmin says. */
const ADMIN_METHODS: AdminMethods = {
  createTopic: (admin, args) => admin.createTopic(...(args as Parameters<CatalogAdmin["createTopic"]>)),
  alterTopic: (admin, args) => admin.alterTopic(...(args as Parameters<CatalogAdmin["alterTopic"]>)),
  deleteTopic: (admin, args) => admin.deleteTopic(...(args as Parameters<CatalogAdmin["deleteTopic"]>)),
  createDeadLetterTopic: (admin, args) =>
    admin.createDeadLetterTopic(...(args as Parameters<CatalogAdmin["createDeadLetterTopic"]>)),
  createSubscription: (admin, args) =>
    admin.createSubscription(...(args as Parameters<CatalogAdmin["createSubscription"]>)),
  alterSubscription: (admin, args) =>
    admin.alterSubscription(...(args as Parameters<CatalogAdmin["alterSubscription"]>)),
  deleteSubscription: (admin, args) =>
    admin.deleteSubscription(...(args as Parameters<CatalogAdmin["deleteSubscription"]>)),
  seekSubscription: (admin, args) =>
    admin.seekSubscription(...(args as Parameters<CatalogAdmin["seekSubscription"]>)),
  seekToSnapshot: (admin, args) =>
    admin.seekToSnapshot(...(args as Parameters<CatalogAdmin["seekToSnapshot"]>)),
  snapshotSubscription: (admin, args) =>
    admin.snapshotSubscription(...(args as Parameters<CatalogAdmin["snapshotSubscription"]>)),
};

function isKnown(catalog: CatalogView, topicId: number): boolean {
  return catalog.byId(topicId) !== undefined && catalog.isMade(topicId);
}

/** By what others may be looking for what is made here. */
function makingKeys(method: string, args: readonly unknown[]): string[] {
  if (method === "createTopic") return [keyOf({ topic: args[0] as string })];
  if (method === "createSubscription") {
    return [keyOf({ topicId: args[0] as number, subscription: args[1] as string })];
  }
  return [];
}

function keyOf(wanted: CatalogWanted): string {
  if ("topic" in wanted) return `topic/${wanted.topic}`;
  if ("subscription" in wanted) return `subscription/${wanted.topicId}/${wanted.subscription}`;
  return `topicId/${wanted.topicId}`;
}

/** Offset of the record that a request has written to `$catalog`. */
function positionOf(reply: unknown): number {
  const { catalogPosition, topic } = reply as { catalogPosition?: number; topic?: Topic };
  return catalogPosition ?? topic?.catalogPosition ?? -1;
}

function restarted(): MillraceError {
  return new MillraceError("SHARD_RESTARTED", "this node does not coordinate the catalog any more", {
    details: { shardId: 0, retryAfterMs: BROKER_LIMITS.retryAfterMs },
  });
}
