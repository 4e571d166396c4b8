import { MillraceError } from "@millrace/protocol";
import type { Logger } from "../logger.ts";
import type { CatalogAdmin } from "../node/catalog-admin.ts";
import type { AskShard, CatalogChanges } from "../node/catalog-changes.ts";
import type { CatalogView } from "../node/catalog-view.ts";
import type { CatalogWanted } from "../node/gateway-port.ts";
import type { GroupAdmin } from "../node/group-admin.ts";
import type { RpcHandler } from "../peer/rpc-handlers.ts";
import { CatalogCoordinator } from "./catalog-coordinator.ts";
import { CATALOG_RPC, type CatalogPush, type CatalogSource, notCoordinator } from "./catalog-feed.ts";
import { CatalogFollower } from "./catalog-follower.ts";
import type { CatalogTimer } from "./catalog-timing.ts";
import { FollowersAdmin } from "./followers-admin.ts";

export interface NodeCatalogOptions {
  /** The node's copy, and who changes it. */
  readonly catalog: CatalogView;
  readonly changes: CatalogChanges;
  readonly groups: GroupAdmin;
  /** Asks a shard, wherever it is; also one of this node that is being prepared. */
  readonly ask: AskShard;
  /** See CatalogFollowerContext. */
  readonly isOwn: (shardId: number) => boolean;
  /** To all nodes that are linked to this one. */
  readonly push: (push: CatalogPush) => void;
  /** The copy has come to a mark of the coordinator. */
  readonly onReached: () => void;
  readonly timer: CatalogTimer;
  readonly logger: Logger;
}

/**
 * A node's part in the catalog: it follows the coordinator, wherever that is, and is it itself as long as it leads: while it has
 * shard 0 open. Main thread.
 */
export class NodeCatalog {
  /** What the node's gateway changes the catalog with. */
  readonly admin: CatalogAdmin;
  /** What other nodes may call. */
  readonly rpc: readonly (readonly [method: string, handler: RpcHandler])[];
  readonly #options: NodeCatalogOptions;
  readonly #follower: CatalogFollower;
  #coordinator: CatalogCoordinator | undefined;

  constructor(options: NodeCatalogOptions) {
    const { catalog, changes, isOwn, timer, onReached, logger } = options;
    this.#options = options;
    const log = logger.log.bind(logger);
    this.#follower = new CatalogFollower({ catalog, changes, isOwn, timer, log, onReached });
    this.admin = new FollowersAdmin(this.#follower);
    this.rpc = Object.values(CATALOG_RPC).map((method) => {
      return [method, (args, { nodeId }) => this.#answer(method, args, nodeId)];
    });
  }

  /** Whether the catalog was ever loaded; until then the node serves nothing. */
  get hasLoaded(): boolean {
    return this.#follower.hasLoaded;
  }

  get isLeading(): boolean {
    return this.#coordinator?.isRunning === true;
  }

  /** Why the copy may be old; undefined while it is kept up to date. */
  get condition(): string | undefined {
    return this.#follower.condition;
  }

  /**
   * Shard 0 was recovered here, and may be asked: the catalog is taken over from it, and this node coordinates.
   * @throws MillraceError SHARD_RESTARTED and the like: shard 0 is gone, or another's
   */
  async lead(epoch: number): Promise<void> {
    const { catalog, ask, groups, push, timer, logger } = this.#options;
    this.#coordinator?.stop();
    const coordinator = new CatalogCoordinator({
      epoch,
      catalog,
      hasFollowed: this.#follower.hasLoaded,
      ask,
      groups,
      apply: (mark, change) => this.#follower.lead(mark, change),
      push,
      timer,
      log: logger.log.bind(logger),
    });
    this.#coordinator = coordinator;
    this.#follower.follow({ epoch, call: (method, args) => this.#answer(method, args) });
    await coordinator.start();
    if (this.#coordinator === coordinator) this.#follower.leads(coordinator.mark);
  }

  /** Shard 0 is closed here, or was lost: follow() whoever comes next. @returns whether it led, or was about to */
  stopLeading(): boolean {
    if (this.#coordinator === undefined) return false;
    this.#coordinator.stop();
    this.#coordinator = undefined;
    this.#follower.follow(undefined);
    return true;
  }

  /**
   * Another node coordinates, or (undefined) nobody that can be reached. Passed over while this node leads with a later epoch.
   * @param source another object, where the way to it is another one
   */
  follow(source: CatalogSource | undefined): void {
    if (this.#coordinator !== undefined) {
      if (source === undefined || source.epoch <= this.#coordinator.epoch) return;
      // Deposed, and nobody has told it yet.
      this.stopLeading();
    }
    this.#follower.follow(source);
  }

  /** See CatalogFollower for these. */
  onPush(payload: unknown): void {
    this.#follower.onPush(payload);
  }

  catchUp(wanted: CatalogWanted): Promise<void> {
    return this.#follower.catchUp(wanted);
  }

  barrier(signal: AbortSignal): Promise<void> {
    return this.#follower.barrier(signal);
  }

  close(): void {
    this.stopLeading();
    this.#follower.close();
  }

  /** The first argument is the epoch that is meant, see CATALOG_RPC. */
  async #answer(method: string, [epoch, ...args]: readonly unknown[], caller?: number): Promise<unknown> {
    const coordinator = this.#coordinator;
    if (coordinator === undefined || coordinator.epoch !== epoch) throw notCoordinator();
    switch (method) {
      case CATALOG_RPC.PAGE:
        return coordinator.page(args[0] as number, args[1] as number);
      case CATALOG_RPC.POSITION:
        return coordinator.position(args[0] as CatalogWanted[]);
      case CATALOG_RPC.REACHED:
        if (caller !== undefined) coordinator.reached(caller, args[0] as number);
        return null;
      case CATALOG_RPC.ADMIN:
        return coordinator.admin(args[0] as string, args.slice(1));
      default:
        throw new MillraceError("INTERNAL", `the catalog has no call ${method}`);
    }
  }
}
