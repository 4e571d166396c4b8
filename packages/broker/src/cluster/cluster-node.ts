import { isAbsolute } from "node:path";
import { Doorbell } from "@millrace/core";
import { GatewayIds } from "../link/gateway-ids.ts";
import type { Logger } from "../logger.ts";
import type { NodeStatus } from "../node/broker-node.ts";
import type { CatalogAdmin } from "../node/catalog-admin.ts";
import type { ClusterStatus } from "../node/cluster-status.ts";
import { type DataFolder, readDataFolder } from "../node/data-folder.ts";
import type { SubscriptionConsumers } from "../node/gateway-handler.ts";
import type { CatalogWanted } from "../node/gateway-port.ts";
import type { ShardSlot } from "../node/link-turn.ts";
import { nodeConditions } from "../node/node-conditions.ts";
import { NodePort } from "../node/node-port.ts";
import { NodeUpkeep } from "../node/node-upkeep.ts";
import type { OutboundReader } from "../node/outbound-reader.ts";
import { ShardThreads } from "../node/shard-threads.ts";
import type { ShardWay } from "../node/shard-way.ts";
import { SocketFolder } from "../node/socket-folder.ts";
import { measureVolume, reserveBytesFor, segmentBytesFor, type VolumeSpace } from "../node/volume.ts";
import type { PeerAddress } from "../peer/peer-address.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { SYSTEM_CLOCK, SYSTEM_TIMER } from "../system-clock.ts";
import type { ShardStorageSizes } from "../thread/thread-messages.ts";
import type { Topic } from "../topic.ts";
import { VERSION } from "../version.ts";
import { Abandonment } from "./abandonment.ts";
import { clusterConditions } from "./cluster-conditions.ts";
import type { ClusterMap, NodePeerAddress } from "./cluster-map.ts";
import { STATUS_CALL } from "./cluster-status.ts";
import { CONSUMERS_CALL, CONSUMERS_TIMEOUT_MS, consumersAt } from "./consumers-elsewhere.ts";
import {
  type HelloResult,
  NODE_CONTROL_PROTOCOL,
  nodeSocketName,
  peerSocketName,
} from "./control-messages.ts";
import { NodeCatalog } from "./node-catalog.ts";
import { nodeCommands } from "./node-commands.ts";
import { NodeControl } from "./node-control.ts";
import { NodePeers } from "./node-peers.ts";
import { type AskedNode, NodeStatusDesk } from "./node-status.ts";
import { OwnShards } from "./own-shards.ts";
import { ShardWays } from "./shard-ways.ts";

const ABANDONED_LOOK_MS = 1_000;

export interface ClusterNodeOptions {
  /** Made before, by the supervisor. */
  readonly dataDir: string;
  /** 0..126. */
  readonly nodeId: number;
  /** A random u32, another one at each start. */
  readonly run: number;
  /** Threads for shards. */
  readonly threads: number;
  /** As for one process: the coordinator keeps to it. */
  readonly retentionTotalBytes?: number | undefined;
  /** Tests only. */
  readonly storage?: Partial<ShardStorageSizes> | undefined;
  readonly logger: Logger;
}

export interface ServeOptions {
  /** Its own client port. */
  readonly url: string;
  /** The supervisor wants the node to end: drain() and close(), in the gateway's order, and exit with code 0. */
  readonly onDrain: () => void;
}

/**
 * One node of a cluster: the port of its gateway, through which that reaches all shards, those that this node has open and those
 * of other nodes. It begins without shards, and does what the supervisor says on the control channel; without a supervisor
 * it serves on as it stands. All methods belong to the thread that opened it.
 */
export class ClusterNode extends NodePort {
  readonly #options: ClusterNodeOptions;
  readonly #folder: DataFolder;
  readonly #sockets: SocketFolder;
  readonly #threads: ShardThreads;
  readonly #upkeep: NodeUpkeep;
  readonly #catalog: NodeCatalog;
  readonly #ways: ShardWays;
  readonly #peers: NodePeers;
  readonly #own: OwnShards;
  readonly #desk: NodeStatusDesk;
  readonly #peer: NodePeerAddress;
  readonly #joined: Promise<void>;
  #setJoined: () => void = () => {};
  #hasJoined = false;
  #control: NodeControl | undefined;
  #abandoned: NodeJS.Timeout | undefined;
  #map: ClusterMap | undefined;
  #url = "";
  #isStarted = false;
  #isDraining = false;
  #closed: Promise<void> | undefined;

  private constructor(options: ClusterNodeOptions, folder: DataFolder, volume: VolumeSpace) {
    const doorbell = Doorbell.allocate();
    const { nodeId, run, dataDir, threads, logger } = options;
    super(folder.shards, doorbell, new GatewayIds(nodeId, { start: run }));
    this.#options = options;
    this.#folder = folder;
    this.#sockets = SocketFolder.open(dataDir);
    this.#peer = { path: peerSocketName(nodeId) };
    this.#joined = new Promise((resolve) => {
      this.#setJoined = resolve;
    });
    this.#threads = new ShardThreads({
      dataDir,
      shardCount: folder.shards,
      threads,
      gatewayDoorbell: doorbell,
      replies: this.requests,
      storage: {
        segmentBytes: segmentBytesFor(volume.totalBytes),
        reserveBytes: reserveBytesFor(volume.totalBytes, folder.shards),
        ...options.storage,
      },
      logger,
      handler: {
        onPoke: () => this.turn.schedule(),
        onShardDown: (shardId) => this.#own.events.onShardDown(shardId),
        onShardsReopened: (opened) => this.#own.events.onShardsReopened(opened),
        onShardFailed: (shardId, error) => this.#own.events.onShardFailed(shardId, error),
        onShardFenced: (shardId, error) => this.#own.events.onShardFenced(shardId, error),
      },
    });
    this.#desk = new NodeStatusDesk(nodeId, run, () => this.#look());
    this.#upkeep = new NodeUpkeep({
      dataDir,
      volume,
      retentionTotalBytes: options.retentionTotalBytes,
      logger,
      statuses: () => this.#statuses(),
      oldest: (shardId, limit) => this.ask(shardId, "oldest", [limit]),
      drop: (shardId, files) => this.ask(shardId, "drop", [files]),
      onDiskRoom: (look) => this.#threads.setDiskRoom(look),
      topicName: (topicId) => this.catalog.byId(topicId)?.name,
    });
    this.#catalog = new NodeCatalog({
      catalog: this.catalog,
      changes: this.changes,
      groups: this.groups,
      ask: (shardId, kind, args) => this.ask(shardId, kind, args),
      isOwn: (shardId) => this.#own.isTold(shardId),
      push: (push) => this.#peers.pushCatalog(push),
      onReached: () => this.#check(),
      timer: SYSTEM_TIMER,
      logger,
    });
    this.#ways = new ShardWays({
      nodeId,
      slots: this.slots,
      handler: () => this.handler,
      rejectShard: (shardId) => this.requests.rejectShard(shardId),
      onDeposed: (shardId) => this.#own.depose(shardId),
      onChange: () => {
        this.turn.schedule();
        this.#check();
      },
    });
    this.#peers = new NodePeers({
      clusterId: folder.clusterId,
      nodeId,
      run,
      peer: this.#peer,
      addressOf: (peer) => this.#addressOf(peer),
      shards: {
        way: (shardId) => this.#own.guests.way(shardId),
        epoch: (shardId) => this.#own.guests.epoch(shardId),
        gatewayGone: (shardId, gateway) => this.#own.guests.gatewayGone(shardId, gateway),
      },
      epochs: () => this.#own.locals.served.map(({ shardId, epoch }) => [shardId, epoch]),
      rpc: new Map([
        ...this.#catalog.rpc,
        [STATUS_CALL, () => this.#desk.own()],
        [CONSUMERS_CALL, ([subscriptionId]) => this.handler?.consumersOf(subscriptionId as number)],
      ]),
      catalog: this.#catalog,
      handler: () => this.handler,
      replies: this.requests,
      onLane: (peerId, shardId, way) => this.#ways.lane(peerId, shardId, way),
      schedule: () => this.turn.schedule(),
      logger,
    });
    this.#own = new OwnShards({
      dataDir,
      slots: this.slots,
      turn: this.turn,
      requests: this.requests,
      forgetGateway: (shardId, gateway) => this.forgetGateway(shardId, gateway),
      threads: this.#threads,
      view: this.catalog,
      catalog: this.#catalog,
      ways: this.#ways,
      peers: this.#peers,
      onLead: (leads) => this.#upkeep.keepTotal(leads),
      say: (event, data) => this.#control?.say(event, data),
      logger,
    });
  }

  /** @throws MillraceError DATA_DIR_UNUSABLE, DATA_FORMAT_NEWER */
  static async open(options: ClusterNodeOptions): Promise<ClusterNode> {
    const folder = readDataFolder(options.dataDir);
    return new ClusterNode(options, folder, await measureVolume(options.dataDir));
  }

  /** Other nodes may link up from now on. close() must follow, also when it rejects. */
  async start(): Promise<void> {
    await this.#peers.listen();
    this.routing = { gateway: this.#options.nodeId, guests: this.#peers.routes };
    await this.#upkeep.watch();
    this.#isStarted = true;
    this.turn.schedule();
  }

  /**
   * Opens the control socket: from now on the supervisor says what to do. After start(), as soon as the gateway listens.
   * @throws MillraceError DATA_DIR_IN_USE when another process runs as this node
   */
  async serve({ url, onDrain }: ServeOptions): Promise<void> {
    this.#url = url;
    this.#control = await NodeControl.listen({
      path: this.#sockets.at(nodeSocketName(this.#options.nodeId)),
      hello: () => this.#hello(),
      commands: nodeCommands({
        shardCount: this.slots.length,
        locals: this.#own.locals,
        follow: (map) => this.#follow(map),
        commit: (shardId) => this.ask(shardId, "commit", []),
        status: () => this.#desk.own(),
        onDrain,
      }),
      logger: this.#options.logger,
    });
    const abandonment = new Abandonment({
      isNeeded: () =>
        this.#hasJoined || this.#control?.commander !== undefined || this.#own.locals.list().length > 0,
      onAbandoned: () => {
        this.#options.logger.log("warn", "node-abandoned", { nodeId: this.#options.nodeId });
        onDrain();
      },
      clock: SYSTEM_CLOCK,
    });
    this.#abandoned = setInterval(() => abandonment.look(), ABANDONED_LOOK_MS).unref();
  }

  /** Resolves when the node serves for the first time: it has the map, the catalog, and a way to each shard. */
  whenReady(): Promise<void> {
    return this.#joined;
  }

  /** Every shard of this node commits and answers what it took, leaves a clean checkpoint, and is closed. */
  async drain(): Promise<void> {
    if (this.#closed !== undefined) return;
    this.#isDraining = true;
    this.#control?.say("draining", {});
    this.#upkeep.stop();
    this.turn.flush();
    await this.#own.locals.drain();
    this.turn.run();
  }

  /** Ends everything. Without drain() this is like a crash. Calling it again waits for the same end. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isDraining = true;
    clearInterval(this.#abandoned);
    this.#upkeep.stop();
    this.#own.locals.terminate();
    this.#catalog.close();
    this.#desk.stop();
    await this.#threads.terminate();
    for (const { shardId } of this.slots) this.requests.rejectShard(shardId);
    await Promise.all([this.#peers.close(), this.#control?.close()]);
    this.#sockets.close();
  }

  async status(): Promise<NodeStatus> {
    const { low, freeBytes, totalBytes } = this.#upkeep.disk;
    return {
      ready: this.ready,
      clusterId: this.#folder.clusterId,
      topics: [...this.topics()].length,
      shards: await this.#statuses(),
      failedShards: this.slots.filter(({ failed }) => failed !== undefined).map(({ shardId }) => shardId),
      disk: { low, freeBytes, totalBytes },
      retentionTotalBytes: this.#upkeep.retentionTotalBytes,
    };
  }

  /** For tests of supervision: the thread of this shard dies as if it had crashed. */
  crashShardThread(shardId: number): Promise<void> {
    return this.#threads.crash(shardId);
  }

  clusterStatus(): Promise<ClusterStatus> {
    return this.#desk.cluster();
  }

  override consumersElsewhere(subscriptionId: number): Promise<SubscriptionConsumers> {
    return consumersAt(this.#others(), (nodeId) =>
      this.#peers.call(nodeId, CONSUMERS_CALL, [subscriptionId], CONSUMERS_TIMEOUT_MS),
    );
  }

  override ownerUrl(shardId: number): string | undefined {
    const owner = this.#ways.ownerOf(shardId);
    return this.#map?.nodes.find(({ nodeId, state }) => nodeId === owner && state === "up")?.url;
  }

  #others(): number[] {
    const nodes = this.#map?.nodes ?? [];
    return nodes
      .filter(({ nodeId, state }) => nodeId !== this.#options.nodeId && state !== "down")
      .map(({ nodeId }) => nodeId);
  }

  #look(): AskedNode {
    const { low, freeBytes, totalBytes } = this.#upkeep.disk;
    const { nodeId, run } = this.#options;
    return {
      clusterId: this.#folder.clusterId,
      nodeId,
      run,
      url: this.#url,
      map: this.#map,
      ready: this.ready,
      isDraining: this.#isDraining,
      conditions: this.conditions,
      load: this.handler?.load(),
      links: this.#peers.status(),
      supervisorPid: this.#control?.commander,
      coordinator: this.#ways.ownerOf(0),
      topics: [...this.topics()].length,
      subscriptions: [...this.subscriptions()].length,
      disk: { low, freeBytes, totalBytes, retentionTotalBytes: this.#upkeep.retentionTotalBytes },
      served: this.#own.locals.served.map(({ shardId }) => ({ shardId, link: this.slot(shardId).link })),
      statusOf: (shardId) => this.ask(shardId, "status", []),
      call: (...call) => this.#peers.call(...call),
    };
  }

  // What the port needs of the node.

  get clusterId(): string {
    return this.#folder.clusterId;
  }

  get ready(): boolean {
    return this.#hasJoined && !this.#isDraining && this.slots.every(({ failed }) => failed === undefined);
  }

  get conditions(): readonly string[] {
    const shards = this.slots.map(({ shardId, failed, way }) => {
      return { shardId, hasFailed: failed !== undefined, refusal: way?.refusal };
    });
    const { unowned, unreached } = this.#ways;
    return [
      ...nodeConditions(this.#upkeep.disk.low, shards),
      ...clusterConditions({
        hasMap: this.#map !== undefined,
        unowned,
        unreached,
        catalog: this.#catalog.condition,
        hasSupervisor: this.#control?.commander !== undefined,
      }),
    ];
  }

  protected override get admin(): CatalogAdmin {
    return this.#catalog.admin;
  }

  protected override onSpace(shardId: number): void {
    // Guests first, each a part; then the own gateway, which takes what it can.
    this.#peers.onSpace(shardId);
    super.onSpace(shardId);
  }

  protected override readerOutbound(): OutboundReader | undefined {
    return this.#isStarted ? this.#threads.readerOutbound : undefined;
  }

  protected override logInfo(event: string, fields: Record<string, unknown>): void {
    this.#options.logger.log("info", event, fields);
  }

  protected override wayOf(slot: ShardSlot): ShardWay | undefined {
    return this.#own.preparedLink(slot.shardId) ?? super.wayOf(slot);
  }

  protected override visible(topic: Topic | undefined): Topic | undefined {
    return topic !== undefined && this.catalog.isMade(topic.topicId) ? topic : undefined;
  }

  override catchUp(wanted: CatalogWanted): Promise<void> | undefined {
    return this.#catalog.catchUp(wanted);
  }

  // The supervisor's commands.

  #hello(): HelloResult {
    const { nodeId, run } = this.#options;
    return {
      nodeId,
      run,
      pid: process.pid,
      version: VERSION,
      protocol: NODE_CONTROL_PROTOCOL,
      peer: this.#peer,
      url: this.#url,
      shards: this.#own.locals.list(),
      mapVersion: this.#map?.version ?? 0,
      ready: this.#hasJoined,
    };
  }

  #follow(map: ClusterMap): number {
    const known = this.#map?.version ?? 0;
    if (map.version <= known) return known;
    this.#map = map;
    this.#peers.follow(map);
    this.#ways.follow(map);
    this.#check();
    return map.version;
  }

  #addressOf(peer: NodePeerAddress): PeerAddress {
    if (!("path" in peer) || isAbsolute(peer.path)) return peer;
    return { path: this.#sockets.at(peer.path) };
  }

  #check(): void {
    if (this.#hasJoined || this.#map === undefined || !this.#catalog.hasLoaded) return;
    if (this.#ways.awaited.length > 0 || this.#ways.unreached.length > 0) return;
    this.#hasJoined = true;
    this.#options.logger.log("info", "node-ready", { nodeId: this.#options.nodeId });
    this.#control?.say("ready", {});
    this.#setJoined();
  }

  #statuses(): Promise<ShardStatus[]> {
    const up = this.slots.filter(({ way, failed }) => way !== undefined && failed === undefined);
    return Promise.all(up.map(({ shardId }) => this.ask(shardId, "status", [])));
  }
}
