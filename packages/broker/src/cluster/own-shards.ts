import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "@millrace/protocol";
import type { Logger } from "../logger.ts";
import type { CatalogView } from "../node/catalog-view.ts";
import { shardDirectory } from "../node/data-folder.ts";
import type { GatewayLink } from "../node/gateway-link.ts";
import type { LinkTurn, ShardSlot } from "../node/link-turn.ts";
import type { ShardRequestTable } from "../node/shard-request-table.ts";
import type { ShardThreads, ShardThreadsHandler } from "../node/shard-threads.ts";
import type { GuestShards } from "../peer/guest-shards.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";
import { failureCodeOf, needsRepair } from "./failure-codes.ts";
import { LocalShards, type OpenedShard } from "./local-shards.ts";
import type { NodeCatalog } from "./node-catalog.ts";
import type { NodeControl } from "./node-control.ts";
import type { NodePeers } from "./node-peers.ts";
import { prepareShard, type ShardPreparation } from "./shard-preparation.ts";
import type { ShardWays } from "./shard-ways.ts";

/** A shard that is closed waits so long at most for answers to reads from its files. */
const READS_ANSWERED_MS = 1_000;

export interface OwnShardsContext {
  readonly dataDir: string;
  readonly slots: readonly ShardSlot[];
  readonly turn: LinkTurn;
  readonly requests: ShardRequestTable;
  /** NodePort.forgetGateway. */
  readonly forgetGateway: (shardId: number, gateway: number) => Promise<void>;
  readonly threads: Pick<ShardThreads, "open" | "close">;
  /** The node's copy of the catalog. */
  readonly view: CatalogView;
  readonly catalog: NodeCatalog;
  readonly ways: ShardWays;
  readonly peers: NodePeers;
  /** This node has come to coordinate, or does not any more. */
  readonly onLead: (leads: boolean) => void;
  /** Tells the supervisor. */
  readonly say: NodeControl["say"];
  readonly logger: Logger;
}

/**
 * The shards that a node has open, and what follows for everybody else when one comes or goes: its gateway, the gateways of
 * other nodes, the catalog, the supervisor. Main thread.
 */
export class OwnShards {
  readonly locals: LocalShards;
  /** What the threads tell. */
  readonly events: ShardThreadsHandler;
  /** For the gateways of other nodes. */
  readonly guests: GuestShards;
  readonly #context: OwnShardsContext;
  /** Those that the node may ask although its gateway may not use them yet. */
  readonly #preparing: Set<number> = new Set();

  constructor(context: OwnShardsContext) {
    this.#context = context;
    this.locals = new LocalShards({
      open: (shardId) => context.threads.open(shardId),
      close: (shardId) => this.#close(shardId),
      onLink: (shardId, link) => this.#setLink(shardId, link),
      prepare: (opened, signal) => this.#prepare(opened, signal),
      onUp: (shardId, epoch) => this.#up(shardId, epoch),
      onClosing: (shardId) => this.#closing(shardId),
      onDown: (shardId) => this.#down(shardId),
      onReturned: (shardId, epoch) => {
        context.peers.announce(shardId, epoch);
        context.say("shard-reopened", { shardId, epoch });
      },
      onDrained: (shardId) => context.say("shard-drained", { shardId }),
      onNotReturned: (shardId, error) => this.#failed(shardId, failureCodeOf(error), String(error)),
    });
    this.events = {
      onPoke: () => context.turn.schedule(),
      onShardDown: (shardId) => this.#lost(shardId),
      onShardsReopened: async (opened) => {
        for (const shard of opened) this.locals.returned(shard);
      },
      onShardFailed: (shardId, { code, message }) => this.#failed(shardId, code, message),
      onShardFenced: (shardId, { message }) => this.#fenced(shardId, message),
    };
    this.guests = {
      way: (shardId) => (this.locals.isOpen(shardId) ? this.#slot(shardId).link : undefined),
      epoch: (shardId) => this.locals.epochOf(shardId),
      gatewayGone: (shardId, gateway) => this.#forgetGateway(shardId, gateway),
    };
  }

  /** Whether the shard is told of changes of the catalog. */
  isTold(shardId: number): boolean {
    return this.#preparing.has(shardId) || this.locals.isOpen(shardId);
  }

  /** Its rings, while the node may ask it although the gateway may not use it yet. */
  preparedLink(shardId: number): GatewayLink | undefined {
    return this.#preparing.has(shardId) ? this.#slot(shardId).link : undefined;
  }

  /** The map says that somebody else has opened what this node has: no need to find that out at the fence. */
  depose(shardId: number): void {
    this.#context.logger.log("warn", "shard-deposed", { shardId, epoch: this.locals.epochOf(shardId) });
    void this.locals.close(shardId);
  }

  #setLink(shardId: number, link: GatewayLink | undefined): void {
    const slot = this.#slot(shardId);
    if (slot.link === link) return;
    if (slot.link !== undefined) {
      this.#preparing.delete(shardId);
      // What it was asked that way is not answered; where the gateway uses another way, it asks again.
      this.#context.requests.rejectShard(shardId);
    }
    slot.link = link;
    this.#context.turn.schedule();
  }

  #prepare({ recovered, link }: OpenedShard, signal: AbortSignal): Promise<void> {
    const { shardId, epoch } = recovered;
    this.#context.logger.log("info", "shard-recovered", { ...recovered });
    const isThere = (): boolean => {
      return this.#slot(shardId).link === link && this.#context.ways.epochOf(shardId) <= epoch;
    };
    const preparation: ShardPreparation = {
      directory: shardDirectory(this.#context.dataDir, shardId),
      view: this.#context.view,
      catalog: this.#context.catalog,
      admit: () => {
        if (isThere()) this.#preparing.add(shardId);
      },
      ask: (asked, kind, args) => this.#askLink(asked, link, kind, args),
      isThere,
    };
    return prepareShard(recovered, preparation, signal);
  }

  /** Through these rings or not at all: by then the gateway may reach the shard at another node. */
  #askLink<K extends keyof ShardRequestMap>(
    shardId: number,
    link: GatewayLink,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): Promise<ShardRequestMap[K]["reply"]> {
    const { requests, turn } = this.#context;
    const slot = this.#slot(shardId);
    return requests.ask(shardId, kind, args, (requestId, payload) => {
      if (slot.link !== link) return false;
      link.request(requestId, payload);
      slot.dirty = true;
      turn.schedule();
      return true;
    });
  }

  /** At the shard of this node alone: a later owner's knows nothing of that gateway, or other things. */
  async #forgetGateway(shardId: number, gateway: number): Promise<void> {
    const { link, way } = this.#slot(shardId);
    if (link === undefined || link !== way) {
      throw new MillraceError("SHARD_RESTARTED", `shard ${shardId} is not served here`, {
        details: { shardId },
      });
    }
    await this.#context.forgetGateway(shardId, gateway);
  }

  #up(shardId: number, epoch: number): void {
    const { link } = this.#slot(shardId);
    if (link === undefined) return;
    this.#preparing.delete(shardId);
    this.#context.ways.localUp(shardId, link, epoch);
    if (shardId === 0) this.#context.onLead(true);
  }

  #closing(shardId: number): void {
    if (shardId === 0) this.#resign();
    this.#context.peers.laneClosing(shardId);
    // What the gateway has given to it is part of what it takes.
    this.#slot(shardId).link?.flush();
    this.#preparing.delete(shardId);
    this.#context.ways.localClosing(shardId);
  }

  async #close(shardId: number): Promise<void> {
    const { link } = this.#slot(shardId);
    if (link !== undefined) {
      // Whoever reads from files may read on at the next owner: an answer of this node would come on top of that.
      const answered = this.#context.requests.ask(shardId, "readsAnswered", [], (requestId, payload) => {
        link.request(requestId, payload);
        link.flush();
        return true;
      });
      await Promise.race([answered.catch(() => {}), sleep(READS_ANSWERED_MS, undefined, { ref: false })]);
    }
    await this.#context.threads.close(shardId);
  }

  #down(shardId: number): void {
    if (shardId === 0) this.#resign();
    this.#context.turn.hearOut(this.#slot(shardId));
    this.#context.peers.laneDown(shardId);
    this.#context.ways.localDown(shardId);
  }

  #lost(shardId: number): void {
    if (shardId === 0) this.#resign();
    this.#context.peers.laneDown(shardId);
    this.locals.lost(shardId);
  }

  #failed(shardId: number, code: string, message: string): void {
    if (shardId === 0) this.#resign();
    this.#context.peers.laneDown(shardId);
    this.locals.gone(shardId);
    this.#context.logger.log("error", "shard-failed", { shardId, reason: `${code}: ${message}` });
    if (needsRepair(code)) this.#context.ways.localFailed(shardId, `${code}: ${message}`);
    else this.#context.ways.localDown(shardId);
    this.#context.say("shard-failed", { shardId, code, message });
  }

  #fenced(shardId: number, message: string): void {
    if (shardId === 0) this.#resign();
    this.#context.peers.laneDown(shardId);
    const epoch = this.locals.gone(shardId);
    this.#context.logger.log("warn", "shard-fenced", { shardId, epoch, reason: message });
    this.#context.ways.localDown(shardId);
    this.#context.say("shard-fenced", { shardId, epoch });
  }

  #resign(): void {
    this.#context.onLead(false);
    if (this.#context.catalog.stopLeading()) this.#context.peers.followAnew();
  }

  #slot(shardId: number): ShardSlot {
    return this.#context.slots[shardId] as ShardSlot;
  }
}
