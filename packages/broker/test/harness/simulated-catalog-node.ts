import { MillraceError } from "@millrace/protocol";
import { CatalogCoordinator } from "../../src/cluster/catalog-coordinator.ts";
import { CATALOG_RPC, type CatalogPush, notCoordinator } from "../../src/cluster/catalog-feed.ts";
import { CatalogFollower } from "../../src/cluster/catalog-follower.ts";
import { FollowersAdmin } from "../../src/cluster/followers-admin.ts";
import { type AskShard, CatalogChanges } from "../../src/node/catalog-changes.ts";
import { CatalogView } from "../../src/node/catalog-view.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import type { CatalogWanted } from "../../src/node/gateway-port.ts";
import { GroupAdmin } from "../../src/node/group-admin.ts";
import { reconcileShard } from "../../src/node/shard-reconciliation.ts";
import type { Subscription } from "../../src/subscription/subscription.ts";
import type { Topic } from "../../src/topic.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What a node knows of who has what. */
export interface SimulatedMap {
  readonly version: number;
  readonly shards: readonly { readonly nodeId: number | null; readonly epoch: number }[];
}

/** What the world does for its nodes. */
export interface SimulatedNetwork {
  readonly time: VirtualTime;
  readonly shardCount: number;
  ask(from: SimulatedCatalogNode, shardId: number, kind: string, args: readonly unknown[]): Promise<unknown>;
  call(from: SimulatedCatalogNode, to: number, method: string, args: readonly unknown[]): Promise<unknown>;
  push(from: SimulatedCatalogNode, push: CatalogPush): void;
  isLinked(from: SimulatedCatalogNode, to: number): boolean;
}

/** What a node leaves out, to see whether that is noticed. */
export interface CatalogFaults {
  /** It reconciles shards with whatever it knows. */
  readonly skipsBarrier?: boolean;
  /** It tells clients that there is no such thing without having asked. */
  readonly skipsCatchUp?: boolean;
  /** It shows clients topics that are still being opened. */
  readonly showsUnmade?: boolean;
}

/** A node of a cluster as far as the catalog is concerned, wired as ClusterNode does it. */
export class SimulatedCatalogNode {
  readonly nodeId: number;
  readonly view: CatalogView = new CatalogView();
  readonly follower: CatalogFollower;
  readonly admin: FollowersAdmin;
  /** What its gateway was told of topics, by their id: it must be told of each once, and first that it is there. */
  readonly told: Map<number, "created" | "deleted"> = new Map();
  /** Shards that it has open, by the epoch; served once they are reconciled. */
  readonly openings: Map<number, { readonly epoch: number; isServed: boolean }> = new Map();
  readonly #own: Set<number> = new Set();
  readonly #network: SimulatedNetwork;
  readonly #faults: CatalogFaults;
  readonly #changes: CatalogChanges;
  readonly #groups: GroupAdmin;
  readonly #ask: AskShard;
  #coordinator: CatalogCoordinator | undefined;
  #map: SimulatedMap = { version: 0, shards: [] };
  #followed = "";
  isDead = false;
  /** Rejects when it dies, with its clients' connections. */
  readonly died: Promise<never>;
  #setDied: (error: Error) => void = () => {};

  constructor(nodeId: number, network: SimulatedNetwork, faults: CatalogFaults = {}) {
    this.nodeId = nodeId;
    this.#faults = faults;
    this.#network = network;
    this.died = new Promise((_, reject) => {
      this.#setDied = reject;
    });
    this.died.catch(() => {});
    this.#ask = (shardId, kind, args) => network.ask(this, shardId, kind, args) as Promise<never>;
    const handler: Partial<GatewayHandler> = {
      onTopicCreated: ({ topicId }) => this.#tell(topicId, undefined, "created"),
      onTopicDeleted: ({ topicId }) => void this.told.set(topicId, "deleted"),
      onTopicAltered: ({ topicId }) => this.#tell(topicId, "created", "created"),
      onSubscriptionDeleted: () => {},
      onSubscriptionChanged: () => {},
    };
    const context = { catalog: this.view, ask: this.#ask, handler: () => handler as GatewayHandler };
    this.#changes = new CatalogChanges(context);
    this.#groups = new GroupAdmin({ ...context, shardCount: network.shardCount });
    this.follower = new CatalogFollower({
      catalog: this.view,
      changes: this.#changes,
      isOwn: (shardId) => this.#own.has(shardId),
      timer: network.time,
      log: () => {},
    });
    this.admin = new FollowersAdmin(this.follower);
  }

  #tell(topicId: number, before: "created" | undefined, now: "created"): void {
    const known = this.told.get(topicId);
    // Deleted ones may be told of again: by pages that were read before.
    if (known !== before && known !== "deleted") throw new Error(`told twice of topic ${topicId}: ${known}`);
    this.told.set(topicId, now);
  }

  get map(): SimulatedMap {
    return this.#map;
  }

  get mark(): unknown {
    return this.#coordinator?.mark;
  }

  // ---- what its gateway does ----

  shows({ topicId }: Topic): boolean {
    return this.#faults.showsUnmade === true || this.view.isMade(topicId);
  }

  async findTopic(name: string): Promise<Topic | undefined> {
    const found = (): Topic | undefined => {
      const topic = this.view.byName(name);
      return topic !== undefined && this.shows(topic) ? topic : undefined;
    };
    return found() ?? (await this.#caughtUp({ topic: name }, found));
  }

  async findSubscription(topicId: number, name: string): Promise<Subscription | undefined> {
    const found = (): Subscription | undefined => {
      const one = this.view.subscription(topicId, name);
      return one?.isOpening === true ? undefined : one;
    };
    return found() ?? (await this.#caughtUp({ topicId, subscription: name }, found));
  }

  async #caughtUp<T>(wanted: CatalogWanted, found: () => T | undefined): Promise<T | undefined> {
    if (this.#faults.skipsCatchUp !== true) await this.follower.catchUp(wanted);
    return found();
  }

  // ---- what the supervisor and other nodes do ----

  onMap(map: SimulatedMap): void {
    if (map.version <= this.#map.version) return;
    this.#map = map;
    for (const [shardId, opening] of this.openings) {
      const entry = map.shards[shardId];
      if (opening.isServed && entry !== undefined && entry.epoch > opening.epoch) this.close(shardId);
    }
    this.relink();
  }

  /** Links or the map have changed. */
  relink(reconnected?: number): void {
    if (this.#coordinator !== undefined || this.isDead) return;
    const entry = this.#map.shards[0];
    const to = entry?.nodeId ?? -1;
    const isReached = to >= 0 && to !== this.nodeId && this.#network.isLinked(this, to);
    const wanted = isReached ? `${to}/${entry?.epoch}` : "";
    if (wanted === this.#followed && (wanted === "" || reconnected !== to)) return;
    this.#followed = wanted;
    const call = (method: string, args: readonly unknown[]): Promise<unknown> => {
      return this.#network.call(this, to, method, args);
    };
    this.follower.follow(isReached && entry !== undefined ? { epoch: entry.epoch, call } : undefined);
  }

  /** Opens a shard; resolves when it is served. */
  async open(shardId: number, epoch: number, signal: AbortSignal): Promise<void> {
    const opening = { epoch, isServed: false };
    this.openings.set(shardId, opening);
    const isThere = (): boolean => this.openings.get(shardId) === opening && !this.isDead;
    if (shardId === 0) await this.#lead(epoch);
    else if (this.#faults.skipsBarrier !== true) await this.follower.barrier(signal);
    if (!isThere()) throw new MillraceError("SHARD_RESTARTED", "it was closed meanwhile");
    this.#own.add(shardId);
    await reconcileShard(this.view, shardId, { cleanShutdown: true, restored: false }, (kind, args) =>
      this.#ask(shardId, kind, args),
    );
    if (!isThere()) throw new MillraceError("SHARD_RESTARTED", "it was closed meanwhile");
    opening.isServed = true;
  }

  close(shardId: number): void {
    if (!this.openings.delete(shardId)) return;
    this.#own.delete(shardId);
    if (shardId === 0) this.#resign();
  }

  die(): void {
    this.isDead = true;
    this.#setDied(new MillraceError("SHARD_RESTARTED", "the node has died"));
    for (const shardId of [...this.openings.keys()]) this.close(shardId);
    this.follower.close();
  }

  async answer(method: string, [epoch, ...args]: readonly unknown[], caller?: number): Promise<unknown> {
    const coordinator = this.#coordinator;
    if (coordinator === undefined || coordinator.epoch !== epoch) throw notCoordinator();
    if (method === CATALOG_RPC.PAGE) return coordinator.page(args[0] as number, args[1] as number);
    if (method === CATALOG_RPC.REACHED) {
      if (caller !== undefined) coordinator.reached(caller, args[0] as number);
      return null;
    }
    if (method === CATALOG_RPC.POSITION) return coordinator.position(args[0] as CatalogWanted[]);
    return coordinator.admin(args[0] as string, args.slice(1));
  }

  async #lead(epoch: number): Promise<void> {
    this.#coordinator?.stop();
    const coordinator = new CatalogCoordinator({
      epoch,
      catalog: this.view,
      hasFollowed: this.follower.hasLoaded,
      ask: this.#ask,
      groups: this.#groups,
      apply: (mark, change) => this.follower.lead(mark, change),
      push: (push) => this.#network.push(this, push),
      timer: this.#network.time,
      log: () => {},
    });
    this.#coordinator = coordinator;
    this.#followed = "own";
    this.follower.follow({ epoch, call: (method, args) => this.answer(method, args) });
    await coordinator.start();
    if (this.#coordinator === coordinator) this.follower.leads(coordinator.mark);
  }

  #resign(): void {
    this.#coordinator?.stop();
    this.#coordinator = undefined;
    this.#followed = "";
    this.follower.follow(undefined);
    this.relink();
  }
}
