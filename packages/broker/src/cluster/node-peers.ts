import type { Logger } from "../logger.ts";
import type { GatewayHandler } from "../node/gateway-handler.ts";
import type { GuestRoutes, ReplyHandler } from "../node/outbound-reader.ts";
import type { ShardWay } from "../node/shard-way.ts";
import type { GuestShards } from "../peer/guest-shards.ts";
import type { LinkStatus } from "../peer/link-status.ts";
import type { PeerAddress } from "../peer/peer-address.ts";
import { PeerLink } from "../peer/peer-link.ts";
import { PeerServer } from "../peer/peer-server.ts";
import type { RpcHandlers } from "../peer/rpc-handlers.ts";
import { CATALOG_EVENT, type CatalogPush } from "./catalog-feed.ts";
import type { ClusterMap, ClusterNodeEntry, NodePeerAddress } from "./cluster-map.ts";
import type { NodeCatalog } from "./node-catalog.ts";
import { type LinkEvents, NodeLinks } from "./node-links.ts";

/** A row for each shard that the node has open: it may have opened some anew since the map was made. */
type ShardEpochs = readonly (readonly [shardId: number, epoch: number])[];

/** Pushed to a node that links up, and to all when a shard was opened anew: ShardEpochs. */
const SHARDS_EVENT = "shards";

export interface NodePeersOptions {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly run: number;
  /** Where the others reach this node. */
  readonly peer: NodePeerAddress;
  readonly addressOf: (peer: NodePeerAddress) => PeerAddress;
  /** The shards of this node, for the gateways of others. */
  readonly shards: GuestShards;
  readonly epochs: () => ShardEpochs;
  readonly rpc: RpcHandlers;
  readonly catalog: NodeCatalog;
  /** This node's gateway, and what waits for answers of shards of others. */
  readonly handler: () => GatewayHandler | undefined;
  readonly replies: ReplyHandler;
  readonly onLane: (nodeId: number, shardId: number, way: ShardWay | undefined) => void;
  readonly schedule: () => void;
  readonly logger: Logger;
}

/**
 * A node among the others: takes their links, keeps its own to each of them, and follows the catalog of the one that has
 * shard 0. Main thread.
 */
export class NodePeers {
  readonly #options: NodePeersOptions;
  readonly #links: NodeLinks;
  #server: PeerServer | undefined;
  /** By the map. */
  #catalogNode = -1;
  /** Whose changes of the catalog are followed: node and epoch of shard 0; empty = nobody's. */
  #followed = "";

  constructor(options: NodePeersOptions) {
    this.#options = options;
    this.#links = new NodeLinks({
      nodeId: options.nodeId,
      connect: (entry, events) => this.#connect(entry, events),
      onLane: options.onLane,
      onPush: (nodeId, event, payload) => {
        if (event === CATALOG_EVENT) options.catalog.onPush(payload);
        else if (event === SHARDS_EVENT) this.#learn(nodeId, payload as ShardEpochs);
      },
      onUp: () => this.#followCatalog(),
      onDown: () => this.#followCatalog(),
    });
  }

  /** Takes links of others from now on. */
  async listen(): Promise<void> {
    const { peer, addressOf, clusterId, nodeId, run, shards, rpc, logger, epochs } = this.#options;
    this.#server = await PeerServer.listen({
      address: addressOf(peer),
      clusterId,
      nodeId,
      run,
      shards,
      rpc,
      logger,
      onGuest: (_nodeId, _run, isUp) => {
        if (isUp) this.#server?.push(SHARDS_EVENT, epochs());
      },
    });
  }

  /** Who takes what shards of this node say to other gateways. After listen(). */
  get routes(): GuestRoutes {
    if (this.#server === undefined) throw new Error("the node does not listen yet");
    return this.#server.routes;
  }

  follow(map: ClusterMap): void {
    this.#catalogNode = map.shards.find(({ shardId }) => shardId === 0)?.nodeId ?? -1;
    this.#links.follow(map);
    this.#followCatalog();
  }

  /** This node does not lead the catalog any more: it follows whoever does. */
  followAnew(): void {
    this.#followed = "";
    this.#followCatalog();
  }

  /** A shard of this node was opened anew, without a map that says so. */
  announce(shardId: number, epoch: number): void {
    this.#server?.push(SHARDS_EVENT, [[shardId, epoch]] satisfies ShardEpochs);
  }

  pushCatalog(push: CatalogPush): void {
    this.#server?.push(CATALOG_EVENT, push);
  }

  /** A shard of this node is being closed: others give it nothing more, and hear what it still says. */
  laneClosing(shardId: number): void {
    this.#server?.laneClosing(shardId);
  }

  /** An opening of a shard of this node ends. */
  laneDown(shardId: number): void {
    this.#server?.laneDown(shardId);
  }

  /** A shard of this node has room again. */
  onSpace(shardId: number): void {
    this.#server?.onSpace(shardId);
  }

  call(nodeId: number, method: string, args: readonly unknown[], timeoutMs?: number): Promise<unknown> {
    return this.#links.call(nodeId, method, args, timeoutMs);
  }

  status(): LinkStatus[] {
    return [...this.#links.statuses(), ...(this.#server?.status() ?? [])];
  }

  async close(): Promise<void> {
    await Promise.all([this.#links.close(), this.#server?.close()]);
  }

  #connect(entry: ClusterNodeEntry, events: LinkEvents): PeerLink {
    const { addressOf, clusterId, nodeId, run, handler, replies, schedule, logger } = this.#options;
    return new PeerLink({
      address: addressOf(entry.peer),
      clusterId,
      nodeId,
      run,
      remoteNodeId: entry.nodeId,
      handler,
      replies,
      schedule,
      logger,
      ...events,
    });
  }

  #learn(nodeId: number, shards: ShardEpochs): void {
    this.#links.learn(nodeId, shards);
    this.#followCatalog();
  }

  #followCatalog(): void {
    const { catalog } = this.#options;
    const nodeId = this.#catalogNode;
    const epoch = this.#links.isUp(nodeId) ? this.#links.epochOf(nodeId, 0) : undefined;
    const followed = epoch === undefined ? "" : `${nodeId}/${epoch}`;
    if (followed === this.#followed) return;
    this.#followed = followed;
    if (epoch === undefined) catalog.follow(undefined);
    else catalog.follow({ epoch, call: (...call) => this.#links.call(nodeId, ...call) });
  }
}
