import { MillraceError } from "@millrace/protocol";
import { removeSnapshots } from "../backup/backup-command.ts";
import type { ClusterMap } from "../cluster/cluster-map.ts";
import { type HelloResult, nodeSocketName } from "../cluster/control-messages.ts";
import { type DataFolder, ensureFolder, openDataFolder } from "../node/data-folder.ts";
import { FolderLock } from "../node/folder-lock.ts";
import { defaultShards } from "../node/placement.ts";
import { SocketFolder } from "../node/socket-folder.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { VERSION } from "../version.ts";
import { ClusterMaps } from "./cluster-maps.ts";
import { ClusterPlan, type PlanCommand } from "./cluster-plan.ts";
import { livingNodes } from "./living-nodes.ts";
import { NodeRefusal } from "./node-client.ts";
import type { NodeFile } from "./node-file.ts";
import { NodeLogs } from "./node-logs.ts";
import { AdoptedNode, type NodeProcess, type ProcessEnd } from "./node-process.ts";
import { NodeStarter } from "./node-starter.ts";
import { NodeWatch } from "./node-watch.ts";
import { PortLock } from "./port-lock.ts";
import { closeShard, openShard } from "./shard-orders.ts";
import { brokenOff, startFailure } from "./start-failure.ts";
import { supervisorControl } from "./supervisor-control.ts";
import { SUPERVISOR_LIMITS, type SupervisorLimits } from "./supervisor-limits.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";

/** Least time from one map of very many shards to the next. */
const MAP_GAP_MS_MAX = 20;

/**
 * Keeps the nodes of one data folder alive and decides which has which shard; carries no traffic of clients. It holds the
 * folder's lock and the port's. When it dies the nodes go on, and the next one adopts them.
 */
export class Supervisor {
  readonly port: number;
  readonly #options: SupervisorOptions;
  readonly #limits: SupervisorLimits;
  readonly #folder: DataFolder;
  readonly #sockets: SocketFolder;
  readonly #lock: FolderLock;
  readonly #portLock: PortLock;
  readonly #plan: ClusterPlan;
  readonly #maps: ClusterMaps = new ClusterMaps();
  readonly #logs: NodeLogs;
  readonly #starter: NodeStarter;
  readonly #watches: Map<number, NodeWatch> = new Map();
  /** Resolves with what made it give up; undefined once it was closed. */
  readonly ended: Promise<MillraceError | undefined>;
  #end: (error: MillraceError | undefined) => void = () => {};
  #onPlan: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #publishing: NodeJS.Timeout | undefined;
  #restarted: ((failure: string | undefined) => void) | undefined;
  /** A node has, in the present restart. */
  #haveRestarted = false;
  #killed: string[] = [];
  #lastFailure: NodeFile["failure"];
  #closed: Promise<void> | undefined;
  #isOver = false;

  private constructor(
    options: SupervisorOptions,
    folder: DataFolder,
    sockets: SocketFolder,
    lock: FolderLock,
    portLock: PortLock,
  ) {
    this.#options = options;
    this.#limits = { ...SUPERVISOR_LIMITS, ...options.limits };
    this.#folder = folder;
    this.#sockets = sockets;
    this.#lock = lock;
    this.#portLock = portLock;
    this.port = portLock.port;
    this.#starter = new NodeStarter(options, this.port, this.#limits.logBytesMax);
    this.#plan = new ClusterPlan(options.nodes, folder.shards, this.#limits);
    this.#logs = new NodeLogs(folder.path, options.logger, this.#limits);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /**
   * Locks folder and port, adopts the nodes that live, starts the others, and waits until they serve every shard.
   * @throws MillraceError DATA_DIR_IN_USE, PORT_IN_USE, SHARD_COUNT_FIXED, JOURNAL_DAMAGED, NODES_FAILED, …; SERVER_DRAINING when it was broken off
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { dataDir, host, port, logger } = options;
    ensureFolder(dataDir);
    const lock = await FolderLock.acquire(dataDir, VERSION, "nodes-may-live");
    let sockets: SocketFolder | undefined;
    let portLock: PortLock | undefined;
    try {
      const folder = openDataFolder(dataDir, options.shards, defaultShards());
      removeSnapshots(dataDir);
      sockets = SocketFolder.open(dataDir);
      const living = await livingNodes(dataDir, sockets);
      // Any port will do: then the one that they have.
      const wanted = port === 0 ? (living[0]?.port ?? 0) : port;
      portLock = await PortLock.acquire(
        host,
        wanted,
        living.some((file) => file.port === wanted),
      );
      if (options.signal?.aborted === true) throw brokenOff();
      const supervisor = new Supervisor(options, folder, sockets, lock, portLock);
      logger.log("info", "supervisor-started", {
        pid: process.pid,
        nodes: options.nodes,
        port: portLock.port,
      });
      await supervisor.#run(living);
      return supervisor;
    } catch (error) {
      await portLock?.release();
      sockets?.close();
      await lock.release();
      throw error;
    }
  }

  /**
   * Restarts the nodes one by one, each when the one before serves again, with the settings as they are by now.
   * @throws MillraceError INVALID_REQUEST, NODES_FAILED; what reading the settings again fails with
   */
  async restart(): Promise<void> {
    const settings = await this.#options.reload?.();
    if (this.#plan.isRestarting) throw new MillraceError("INVALID_REQUEST", "a restart is under way");
    if (this.#closed !== undefined) throw new MillraceError("SERVER_DRAINING", "the cluster ends");
    const before = this.#starter.settings;
    this.#haveRestarted = false;
    if (settings !== undefined) this.#starter.settings = settings;
    try {
      await this.#restart();
    } catch (error) {
      // No node has come up with them: nodes that die by themselves are started as they were.
      if (!this.#haveRestarted) this.#starter.settings = before;
      throw error;
    }
  }

  /**
   * Moves a shard to a node, where it stays; resolves when it is open, there or, should that fail, elsewhere: the node's id.
   * @throws MillraceError INVALID_REQUEST
   */
  async move(shardId: number, to: number): Promise<number> {
    const { isMoving, commands } = this.#plan.move(shardId, to, this.#now());
    this.#do(commands);
    if (!isMoving) return to;
    return new Promise((resolve) => {
      const look = setInterval(() => {
        const { nodeId, failed } = this.#plan.shards()[shardId] ?? {};
        const isThere = typeof nodeId === "number" && !this.#plan.placement.isMoving(shardId);
        if (!isThere && failed === undefined && !this.#isOver) return;
        clearInterval(look);
        resolve(nodeId ?? -1);
      }, 10);
    });
  }

  /** All nodes drain at once; then folder and port are free. Rejects when a node had to be killed. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // ---- start and end ----

  async #run(living: readonly NodeFile[]): Promise<void> {
    for (const file of living) this.#adopt(file);
    const stale = living
      .filter((file) => file.options !== this.#starter.fingerprint)
      .map(({ nodeId }) => nodeId);
    const { signal } = this.#options;
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      const shards = this.#plan.shards().flatMap(({ shardId, nodeId }) => (nodeId === null ? [shardId] : []));
      this.#options.logger.log("warn", "nodes-not-ready", { nodes: this.#plan.unreadyNodes, shards });
      this.#onPlan?.();
    }, this.#limits.startMsMax);
    const serving = new Promise<void>((resolve, reject) => {
      this.#onPlan = () => {
        const failure = startFailure(this.#lastFailure, this.#plan.placement.failures);
        if (failure !== undefined) reject(failure);
        else if (this.#plan.isServing || (isLate && this.#plan.isServingPartly)) resolve();
      };
      signal?.addEventListener("abort", () => reject(brokenOff()), { once: true });
      void this.ended.then((error) => reject(error ?? new MillraceError("SERVER_DRAINING", "it was closed")));
    });
    try {
      this.#do(
        this.#plan.start(
          living.map(({ nodeId }) => nodeId),
          this.#now(),
        ),
      );
      await serving;
    } catch (error) {
      // Who breaks it off wants nothing to run.
      await this.#giveUp(living.length > 0 && signal?.aborted !== true);
      throw error;
    } finally {
      clearTimeout(late);
    }
    this.#onPlan = undefined;
    this.#lock.receive(
      supervisorControl({
        folder: this.#folder,
        logger: this.#options.logger,
        // A shard that is on its way is waited for.
        isReady: () => this.#plan.placement.failures.length === 0,
        commit: (shardId) => this.#commit(shardId),
        holdMoves: (isHeld) => this.#do(this.#plan.holdMoves(isHeld, this.#now())),
        restart: () => this.restart(),
        move: (shardId, to) => this.move(shardId, to),
        map: () => this.#maps.newest,
      }),
    );
    const isStillThere = stale.filter((nodeId) => nodeId < this.#options.nodes);
    if (isStillThere.length > 0) {
      this.#options.logger.log("info", "node-settings-changed", { nodes: isStillThere });
      this.#restart(isStillThere).catch((error: unknown) => {
        this.#options.logger.log("error", "restart-failed", { error: String(error) });
      });
    }
  }

  /** After a start that failed. Nodes that were serving before it go on as they did, unless they are to end. */
  async #giveUp(isLeft: boolean): Promise<void> {
    this.#onPlan = undefined;
    if (isLeft) this.#release();
    else await this.#drain();
  }

  async #close(): Promise<void> {
    await this.#drain();
    await this.#portLock.release();
    this.#sockets.close();
    await this.#lock.release();
    this.#end(undefined);
    if (this.#killed.length > 0) {
      throw new MillraceError("INTERNAL", `not every node ended by itself: ${this.#killed.join("; ")}`);
    }
  }

  async #drain(): Promise<void> {
    this.#killed = [];
    const stopped = new Promise<void>((resolve) => {
      this.#onPlan = () => {
        if (this.#isOver) resolve();
      };
    });
    if (!this.#isOver) {
      this.#do(this.#plan.stop(this.#now()));
      await stopped;
    }
    this.#release();
  }

  #release(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#publishing);
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#logs.close();
  }

  // ---- what the plan wants ----

  #now(): number {
    return SYSTEM_CLOCK.monotonicMs();
  }

  #do(commands: readonly PlanCommand[]): void {
    if (this.#isOver) return;
    // First, so that a node that is told to open a shard knows who else there is.
    if (commands.some(({ kind }) => kind === "open")) this.#publish();
    else this.#publishSoon();
    for (const command of commands) this.#carryOut(command);
    this.#onPlan?.();
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    const timerMs = this.#plan.nextTimerMs;
    if (timerMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => this.#do(this.#plan.timer(this.#now())),
      Math.max(1, Math.ceil(timerMs - this.#now())),
    );
  }

  #carryOut(command: PlanCommand): void {
    const { logger } = this.#options;
    switch (command.kind) {
      case "log":
        if (command.event === "node-restarted") this.#haveRestarted = true;
        logger.log(command.level, command.event, command.fields);
        break;
      case "start":
        this.#startNode(command.nodeId);
        break;
      case "drain":
        this.#watches.get(command.nodeId)?.drain();
        break;
      case "kill":
        this.#kill(command.nodeId, command.reason);
        break;
      case "open":
        void this.#open(command.nodeId, command.shardId);
        break;
      case "close":
        void this.#closeShard(command.nodeId, command.shardId);
        break;
      case "restarted":
        this.#restarted?.(command.failure);
        break;
      case "stopped":
        this.#isOver = true;
        break;
      case "given-up":
        this.#end(
          new MillraceError(
            "NODES_FAILED",
            `every node died again and again; the last one said: ${this.#lastFailure?.message ?? "nothing"}; ` +
              `see ${this.#folder.path}/logs`,
          ),
        );
        break;
    }
  }

  #startNode(nodeId: number): void {
    const { logger } = this.#options;
    this.#logs.follow(nodeId);
    let child: NodeProcess;
    try {
      child = this.#starter.start(nodeId);
    } catch (error) {
      // What the system lacks (room, memory, processes) may be there later.
      const { code, message } = error as NodeJS.ErrnoException;
      this.#lastFailure = { code: code ?? "INTERNAL", message };
      setImmediate(() => this.#do(this.#plan.nodeGone(nodeId, { error: message }, this.#now())));
      return;
    }
    logger.log("info", "node-started", { nodeId, pid: child.pid });
    this.#watch(nodeId, child, false);
  }

  #adopt(file: NodeFile): void {
    this.#logs.follow(file.nodeId);
    this.#watch(file.nodeId, new AdoptedNode(file), true);
  }

  #watch(nodeId: number, process: NodeProcess, isAdopted: boolean): void {
    const watch = new NodeWatch({
      nodeId,
      process,
      path: this.#sockets.at(nodeSocketName(nodeId)),
      isAdopted,
      limits: this.#limits,
      clock: SYSTEM_CLOCK,
      events: {
        onGreeted: (hello) => this.#onGreeted(watch, hello),
        onEvent: (event, data) => this.#onEvent(nodeId, event, data as Readonly<Record<string, unknown>>),
        onLost: (reason) => this.#do(this.#plan.nodeLost(nodeId, reason, this.#now())),
        onGone: (end) => this.#onGone(nodeId, watch, end),
      },
    });
    this.#watches.set(nodeId, watch);
  }

  #kill(nodeId: number, reason: string): void {
    const watch = this.#watches.get(nodeId);
    this.#options.logger.log("error", "node-killed", { nodeId, reason });
    // One that has not said hello yet has no shards.
    if (watch?.hello !== undefined) this.#killed.push(`node ${nodeId}: ${reason}`);
    watch?.kill();
    if (watch === undefined) return;
    const notice = setInterval(() => {
      if (this.#watches.get(nodeId) !== watch) clearInterval(notice);
      else this.#options.logger.log("warn", "node-not-ending", { nodeId, pid: watch.pid });
    }, this.#limits.endingNoticeMs);
    notice.unref();
  }

  async #open(nodeId: number, shardId: number): Promise<void> {
    const watch = this.#watches.get(nodeId);
    const outcome = await openShard(watch, shardId);
    if (outcome === undefined || this.#watches.get(nodeId) !== watch) return;
    const nowMs = this.#now();
    if (outcome instanceof NodeRefusal) this.#do(this.#plan.shardOpenFailed(nodeId, shardId, outcome, nowMs));
    else this.#do(this.#plan.shardOpened(nodeId, shardId, outcome.epoch, nowMs));
  }

  async #closeShard(nodeId: number, shardId: number): Promise<void> {
    const watch = this.#watches.get(nodeId);
    const outcome = await closeShard(watch, shardId, this.#limits.closeMsMax);
    if (outcome === undefined || this.#watches.get(nodeId) !== watch) return;
    const nowMs = this.#now();
    if (outcome === "closed") this.#do(this.#plan.shardClosed(nodeId, shardId, nowMs));
    else this.#do(this.#plan.nodeLost(nodeId, `shard ${shardId} was not closed: ${outcome}`, nowMs));
  }

  /** Many shards that are opened at once are one map's news. */
  #publishSoon(): void {
    this.#publishing ??= setTimeout(
      () => this.#publish(),
      Math.min(MAP_GAP_MS_MAX, this.#folder.shards >> 4),
    );
  }

  #publish(): void {
    clearTimeout(this.#publishing);
    this.#publishing = undefined;
    if (this.#isOver || !this.#plan.hasTakenStock) return;
    const nodes = this.#plan.nodeIds.flatMap((nodeId) => {
      const hello = this.#maps.hello(nodeId);
      if (hello === undefined) return [];
      const { run, pid, peer, url } = hello;
      return [{ nodeId, run, pid, peer, url, state: this.#plan.nodeState(nodeId) }];
    });
    const map = this.#maps.next(nodes, this.#plan.shards());
    if (map !== undefined) for (const watch of this.#watches.values()) this.#sendMap(watch, map);
  }

  #sendMap(watch: NodeWatch, map: ClusterMap): void {
    watch.client?.request("map", { map }).catch((error: unknown) => {
      if (!(error instanceof NodeRefusal)) return;
      const { code, message: reason } = error;
      this.#options.logger.log("warn", "map-refused", { pid: watch.pid, code, reason });
    });
  }

  // ---- what nodes say ----

  #onGreeted(watch: NodeWatch, hello: HelloResult): void {
    const { nodeId, mapVersion, shards, ready } = hello;
    this.#maps.greeted(hello);
    const map = this.#maps.newest;
    if (map !== undefined && map.version > mapVersion) this.#sendMap(watch, map);
    this.#do(this.#plan.nodeGreeted(nodeId, shards, ready, this.#now()));
  }

  #onEvent(nodeId: number, event: string, data: Readonly<Record<string, unknown>>): void {
    const { shardId, epoch, code, message } = data;
    const nowMs = this.#now();
    if (event === "ready") this.#do(this.#plan.nodeReady(nodeId, nowMs));
    else if (event === "draining") {
      this.#watches.get(nodeId)?.leaves();
      this.#do(this.#plan.nodeDraining(nodeId, nowMs));
    } else if (event === "shard-failed") {
      const error = { code: String(code), message: String(message) };
      this.#do(this.#plan.shardFailed(nodeId, Number(shardId), error, nowMs));
    } else if (event === "shard-fenced") {
      this.#do(this.#plan.shardFenced(nodeId, Number(shardId), Number(epoch), nowMs));
    } else if (event === "shard-drained") {
      this.#do(this.#plan.shardDrained(nodeId, Number(shardId), nowMs));
    } else if (event === "shard-reopened") {
      this.#do(this.#plan.shardReopened(nodeId, Number(shardId), Number(epoch), nowMs));
    } else if (event === "superseded") {
      this.#options.logger.log("error", "superseded", { nodeId, ...data });
    }
  }

  #onGone(nodeId: number, watch: NodeWatch, end: ProcessEnd): void {
    if (this.#watches.get(nodeId) !== watch) return;
    this.#watches.delete(nodeId);
    this.#logs.look();
    const failure = this.#starter.ended(nodeId);
    if (failure !== undefined) this.#lastFailure = failure;
    const how = failure === undefined ? end : { ...end, code: failure.code, reason: failure.message };
    this.#do(this.#plan.nodeGone(nodeId, how, this.#now()));
  }

  // ---- what commands want ----

  async #restart(nodeIds?: readonly number[]): Promise<void> {
    const done = new Promise<string | undefined>((resolve) => {
      this.#restarted = resolve;
    });
    this.#do(this.#plan.restart(this.#now(), nodeIds));
    const failure = await Promise.race([done, this.ended.then(() => "the cluster ended")]);
    this.#restarted = undefined;
    if (failure !== undefined)
      throw new MillraceError("NODES_FAILED", `the restart was given up: ${failure}`);
    this.#options.logger.log("info", "restart-done");
  }

  /** Asks the owner, whoever that is by then. @throws MillraceError SHARD_RESTARTED, and what the owner says */
  async #commit(shardId: number): Promise<number> {
    const { nodeId } = this.#plan.shards()[shardId] ?? {};
    const client = typeof nodeId === "number" ? this.#watches.get(nodeId)?.client : undefined;
    if (client === undefined) {
      throw new MillraceError("SHARD_RESTARTED", `shard ${shardId} is open nowhere: try again`);
    }
    return (await client.request("commit", { shardId })).position;
  }
}
