import type { ClusterNodeEntry, ClusterShardEntry } from "../cluster/cluster-map.ts";
import type { NodeControlError, NodeShard } from "../cluster/control-messages.ts";
import type { LogLevel } from "../logger.ts";
import { NodeLife } from "./node-life.ts";
import { Placement, type ShardArrival, type ShardCommand } from "./placement.ts";
import { type RestartStep, RollingRestart } from "./rolling-restart.ts";
import type { SupervisorLimits } from "./supervisor-limits.ts";

/** What the supervisor is to do. */
export type PlanCommand =
  | ShardCommand
  /** Start its process. `nodeGreeted` or `nodeGone` follows. */
  | { readonly kind: "start"; readonly nodeId: number }
  /** Ask it to end in order. `nodeGone` follows. */
  | { readonly kind: "drain"; readonly nodeId: number }
  /** Send SIGKILL and wait until it is there no longer. `nodeGone` follows. */
  | { readonly kind: "kill"; readonly nodeId: number; readonly reason: string }
  | { readonly kind: "log"; readonly level: LogLevel; readonly event: string; readonly fields: Fields }
  | { readonly kind: "restarted"; readonly failure: string | undefined }
  /** All nodes have ended as they were asked to. */
  | { readonly kind: "stopped" }
  /** No node is left that could be started again. */
  | { readonly kind: "given-up" };

type Fields = Readonly<Record<string, unknown>>;

/**
 * What a supervisor decides: which node runs, and which has which shard. Events in, commands out: it has no clock and does
 * no I/O. Each method tells it what happened, at which monotonic ms, and returns what is to be done, in this order.
 */
export class ClusterPlan {
  readonly placement: Placement;
  readonly #limits: SupervisorLimits;
  readonly #lives: Map<number, NodeLife> = new Map();
  /** Nodes that there are to be; others that are found are emptied and drained. */
  readonly #nodes: number;
  readonly #found: Set<number> = new Set();
  /** Of those, the ones that have not said yet which shards they have: it may be any. */
  readonly #silent: Set<number> = new Set();
  #restart: RollingRestart | undefined;
  #isStopping = false;
  #hasGivenUp = false;
  #hasStopped = false;
  #gatherUntilMs = Number.POSITIVE_INFINITY;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #out: PlanCommand[] = [];

  constructor(nodes: number, shards: number, limits: SupervisorLimits) {
    this.#nodes = nodes;
    this.#limits = limits;
    this.placement = new Placement(shards, limits);
    for (let nodeId = 0; nodeId < nodes; nodeId += 1) this.#lives.set(nodeId, new NodeLife(nodeId, limits));
  }

  // ---- nodes ----

  /** Begins: the nodes in `found` have a process already, the others are started. */
  start(found: Iterable<number>, nowMs: number): PlanCommand[] {
    for (const nodeId of found) {
      if (!this.#lives.has(nodeId)) this.#lives.set(nodeId, new NodeLife(nodeId, this.#limits));
      this.#found.add(nodeId);
      this.#silent.add(nodeId);
      this.#life(nodeId).starting();
    }
    this.#gatherUntilMs = nowMs + this.#limits.gatherMsMax;
    for (const life of this.#lives.values()) if (!life.hasProcess) this.#startNode(life);
    return this.#done(nowMs);
  }

  /** It answers on its control socket, for the first time or again. */
  nodeGreeted(nodeId: number, shards: readonly NodeShard[], isReady: boolean, nowMs: number): PlanCommand[] {
    const life = this.#life(nodeId);
    const isFirst = life.phase === "starting";
    life.greeted(isReady, nowMs);
    if (life.phase !== "up") return this.#done(nowMs);
    this.#silent.delete(nodeId);
    this.placement.nodeUp(nodeId, shards, nowMs);
    if (nodeId >= this.#nodes) this.placement.nodeLeaving(nodeId, true);
    if (isFirst) {
      const event = this.#found.has(nodeId) ? "node-adopted" : "node-up";
      this.#log("info", event, { nodeId, shards: shards.map(({ shardId }) => shardId) });
    }
    if (life.isReady) this.placement.nodeReady(nodeId, life.settledAtMs);
    if (this.#isStopping) this.#drain(life);
    return this.#done(nowMs);
  }

  /** It has said that it serves. */
  nodeReady(nodeId: number, nowMs: number): PlanCommand[] {
    const life = this.#life(nodeId);
    life.ready(nowMs);
    if (life.isReady) this.placement.nodeReady(nodeId, life.settledAtMs);
    return this.#done(nowMs);
  }

  /** It says that it ends, told to by us or by somebody else, who may want it to be started anew. */
  nodeDraining(nodeId: number, nowMs: number): PlanCommand[] {
    this.#life(nodeId).leaves();
    this.placement.nodeDraining(nodeId);
    return this.#done(nowMs);
  }

  /** It does not answer, or answers what it must not: it is ended. */
  nodeLost(nodeId: number, reason: string, nowMs: number): PlanCommand[] {
    if (this.#life(nodeId).lost()) this.#out.push({ kind: "kill", nodeId, reason });
    return this.#done(nowMs);
  }

  /** Its process is there no longer. `how` is for the log: exit code, signal, what it last said. */
  nodeGone(nodeId: number, how: Fields, nowMs: number): PlanCommand[] {
    const life = this.#life(nodeId);
    const shards = this.placement.shardsOf(nodeId);
    const deadly = this.placement.nodeGone(nodeId, nowMs);
    this.#found.delete(nodeId);
    this.#silent.delete(nodeId);
    this.#restart?.nodeGone(nodeId);
    const end = life.gone(nowMs);
    if (end === "drained" || end === "left") this.#log("info", "node-ended", { nodeId, ...how });
    else this.#log("error", "node-died", { nodeId, shards, deaths: life.deaths, ...how });
    for (const shard of deadly) this.#log("error", "shard-kills-nodes", { ...shard, nodeId });
    if (end === "given-up") {
      this.#log("error", "node-given-up", {
        nodeId,
        reason: `it died ${life.deaths} times within ${this.#limits.crashLoopWindowMs / 1000} s`,
        repair: "see its log; millrace restart tries again",
      });
    }
    if (nodeId >= this.#nodes || this.#isStopping) life.forget();
    return this.#done(nowMs);
  }

  // ---- shards ----

  shardOpened(nodeId: number, shardId: number, epoch: number, nowMs: number): PlanCommand[] {
    const arrival = this.placement.opened(nodeId, shardId, epoch, nowMs);
    if (arrival !== undefined) this.#log("info", `shard-${arrival.why}`, fieldsOf(arrival));
    return this.#done(nowMs);
  }

  shardOpenFailed(nodeId: number, shardId: number, error: NodeControlError, nowMs: number): PlanCommand[] {
    const { code, message } = error;
    const isFinal = this.placement.openFailed(nodeId, shardId, code, message, nowMs);
    this.#log("error", "shard-open-failed", { nodeId, shardId, code, reason: message, isFinal });
    return this.#done(nowMs);
  }

  shardClosed(nodeId: number, shardId: number, nowMs: number): PlanCommand[] {
    this.placement.closed(nodeId, shardId, nowMs);
    return this.#done(nowMs);
  }

  /** Its journal failed, or it was lost and could not be opened again; the node has it no longer. */
  shardFailed(
    nodeId: number,
    shardId: number,
    { code, message }: NodeControlError,
    nowMs: number,
  ): PlanCommand[] {
    const isFinal = this.placement.failed(nodeId, shardId, code, message, nowMs);
    this.#log("error", "shard-failed", { nodeId, shardId, reason: `${code}: ${message}`, isFinal });
    return this.#done(nowMs);
  }

  /** Somebody else has opened it. */
  shardFenced(nodeId: number, shardId: number, epoch: number, nowMs: number): PlanCommand[] {
    this.placement.fenced(nodeId, shardId, nowMs);
    this.#log("warn", "shard-fenced", { nodeId, shardId, epoch });
    return this.#done(nowMs);
  }

  /** The node ends, and has closed it: another one may open it, however long the rest takes. */
  shardDrained(nodeId: number, shardId: number, nowMs: number): PlanCommand[] {
    this.placement.nodeDraining(nodeId);
    return this.shardClosed(nodeId, shardId, nowMs);
  }

  /** The node has opened it again by itself. */
  shardReopened(nodeId: number, shardId: number, epoch: number, nowMs: number): PlanCommand[] {
    this.placement.reopened(nodeId, shardId, epoch);
    return this.#done(nowMs);
  }

  // ---- commands ----

  /** @throws MillraceError INVALID_REQUEST; `isMoving` is false when the shard is there already. */
  move(shardId: number, to: number, nowMs: number): { isMoving: boolean; commands: PlanCommand[] } {
    const isMoving = this.placement.move(shardId, to);
    return { isMoving, commands: this.#done(nowMs) };
  }

  get isRestarting(): boolean {
    return this.#restart !== undefined;
  }

  /** Restarts these nodes, or all, one after the other. Only one restart at a time. */
  restart(nowMs: number, nodeIds?: readonly number[]): PlanCommand[] {
    if (this.#restart !== undefined) throw new Error("a restart is under way");
    if (this.#isStopping) throw new Error("the cluster ends");
    this.#restart = new RollingRestart(nodeIds ?? [...this.#lives.keys()].filter((id) => id < this.#nodes));
    return this.#done(nowMs);
  }

  holdMoves(isHeld: boolean, nowMs: number): PlanCommand[] {
    this.placement.holdMoves(isHeld);
    return this.#done(nowMs);
  }

  /** All nodes drain at once; `stopped` follows. */
  stop(nowMs: number): PlanCommand[] {
    if (this.#isStopping) return [];
    this.#isStopping = true;
    this.placement.end();
    for (const life of this.#lives.values()) {
      // One that has been running for a while may serve: it is asked to end once it answers.
      if (life.phase === "starting" && !this.#found.has(life.nodeId)) this.#kill(life, "the cluster ends");
      else if (life.phase === "up") this.#drain(life);
      else life.forget();
    }
    return this.#done(nowMs);
  }

  /** What `nextTimerMs` was set for. */
  timer(nowMs: number): PlanCommand[] {
    for (const life of this.#lives.values()) if (life.due(nowMs)) this.#startNode(life);
    return this.#done(nowMs);
  }

  /** When `timer` wants to be called, which may be over already; Infinity: not as things stand. */
  get nextTimerMs(): number {
    let timerMs = this.#isStopping ? Number.POSITIVE_INFINITY : this.placement.timerMs;
    if (!this.placement.hasBegun && this.#gatherUntilMs > this.#toldAtMs) {
      timerMs = Math.min(timerMs, this.#gatherUntilMs);
    }
    for (const life of this.#lives.values()) timerMs = Math.min(timerMs, life.timerMs);
    return timerMs;
  }

  // ---- what is ----

  nodeState(nodeId: number): ClusterNodeEntry["state"] {
    const phase = this.#lives.get(nodeId)?.phase;
    return phase === "up" ? "up" : phase === "draining" ? "draining" : "down";
  }

  life(nodeId: number): NodeLife | undefined {
    return this.#lives.get(nodeId);
  }

  /** Those that there are to be, and others that are still there. */
  get nodeIds(): number[] {
    const lives = [...this.#lives.values()].filter((life) => life.nodeId < this.#nodes || life.hasProcess);
    return lives.map(({ nodeId }) => nodeId).sort((a, b) => a - b);
  }

  shards(): ClusterShardEntry[] {
    return this.placement.entries();
  }

  /** Every node that was found has said what it has: before, a map would leave out some that serve. */
  get hasTakenStock(): boolean {
    return this.#silent.size === 0;
  }

  /** Every shard is open or known to be out of service, and every node serves, or was given up. */
  get isServing(): boolean {
    return this.unreadyNodes.length === 0 && this.isServingPartly && this.placement.isPlaced;
  }

  /** The same, but some nodes do not serve, or shards are tried in vain. */
  get isServingPartly(): boolean {
    return this.#wanted.some((life) => life.isReady) && this.placement.isPlacedIfPossible;
  }

  /** Those that may come to serve yet. */
  get unreadyNodes(): number[] {
    const unready = this.#wanted.filter((life) => !life.isReady && life.phase !== "given-up");
    return unready.map(({ nodeId }) => nodeId);
  }

  // ---- within ----

  get #wanted(): NodeLife[] {
    return [...this.#lives.values()].filter(({ nodeId }) => nodeId < this.#nodes);
  }

  #life(nodeId: number): NodeLife {
    const life = this.#lives.get(nodeId);
    if (life === undefined) throw new RangeError(`no such node: nodeId=${nodeId}`);
    return life;
  }

  #log(level: LogLevel, event: string, fields: Fields): void {
    this.#out.push({ kind: "log", level, event, fields });
  }

  #startNode(life: NodeLife): void {
    if (this.#isStopping) return;
    life.starting();
    this.#out.push({ kind: "start", nodeId: life.nodeId });
  }

  #kill(life: NodeLife, reason: string): void {
    if (life.lost()) this.#out.push({ kind: "kill", nodeId: life.nodeId, reason });
  }

  #drain(life: NodeLife): void {
    if (!life.drain()) return;
    this.placement.nodeDraining(life.nodeId);
    this.#out.push({ kind: "drain", nodeId: life.nodeId });
  }

  /** Everything that follows from what was told, and the commands that came of it. */
  #done(nowMs: number): PlanCommand[] {
    this.#toldAtMs = nowMs;
    if (!this.#isStopping) {
      this.#gather(nowMs);
      // A move may be what a step of the restart waits for, and the step what shards have to be moved for.
      do this.#out.push(...this.placement.act(nowMs));
      while (this.#stepRestart());
      this.#retire();
    }
    this.#end();
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /**
   * Nothing is opened while a node may have it of which that is not known. A new cluster's shards are not all opened by the node
   * that happens to be up first, either; where some are served already, the others wait for nobody.
   */
  #gather(nowMs: number): void {
    if (this.placement.hasBegun || this.#silent.size > 0) return;
    const lives = [...this.#lives.values()];
    const isServed = lives.some((life) => this.placement.shardsOf(life.nodeId).length > 0);
    const isWaitedFor = lives.some((life) => life.phase === "starting" && life.deaths === 0);
    if (!isServed && isWaitedFor && nowMs < this.#gatherUntilMs) return;
    if (lives.some((life) => life.phase === "up")) this.placement.begin();
  }

  /** Nodes that there are not to be go once they are empty. */
  #retire(): void {
    for (const life of this.#lives.values()) {
      if (life.nodeId < this.#nodes || life.phase !== "up") continue;
      if (this.placement.shardsOf(life.nodeId).length === 0) this.#drain(life);
    }
  }

  /** True if there was one to be taken. */
  #stepRestart(): boolean {
    const restart = this.#restart;
    // It may have come up only now.
    if (restart?.emptying !== undefined) this.placement.nodeLeaving(restart.emptying, true);
    const step = restart?.next({
      isUp: (nodeId: number) => this.#life(nodeId).phase === "up",
      hasProcess: (nodeId: number) => this.#life(nodeId).hasProcess,
      isWaiting: (nodeId: number) => this.#life(nodeId).phase === "waiting",
      isReady: (nodeId: number) => this.#life(nodeId).isReady,
      isGivenUp: (nodeId: number) => this.#life(nodeId).phase === "given-up",
      hasShards: (nodeId: number) => this.placement.shardsOf(nodeId).length > 0,
      hasOthers: (nodeId: number) => this.#hasOthers(nodeId),
      isSettled: this.placement.isSettled,
      obstacle: this.placement.obstacle,
    });
    if (step !== undefined) this.#takeStep(step);
    if (restart?.isDone !== true) return step !== undefined;
    this.#restart = undefined;
    if (restart.nodeId !== undefined) this.placement.nodeLeaving(restart.nodeId, false);
    this.#out.push({ kind: "restarted", failure: restart.failure });
    return true;
  }

  #takeStep({ kind, nodeId }: RestartStep): void {
    const life = this.#life(nodeId);
    if (kind === "leave") {
      this.#log("info", "node-restarting", { nodeId });
      this.placement.nodeLeaving(nodeId, true);
      if (life.phase === "given-up") this.#startNode(life);
    } else if (kind === "drain") this.#drain(life);
    else if (kind === "start") this.#startNode(life);
    else if (kind === "return") this.placement.nodeLeaving(nodeId, false);
    else this.#log("info", "node-restarted", { nodeId });
  }

  #hasOthers(nodeId: number): boolean {
    for (const life of this.#lives.values()) {
      if (life.nodeId === nodeId || life.nodeId >= this.#nodes) continue;
      if (life.phase !== "given-up" && life.phase !== "absent") return true;
    }
    return false;
  }

  #end(): void {
    const lives = [...this.#lives.values()];
    if (this.#isStopping) {
      if (this.#hasStopped || lives.some((life) => life.hasProcess)) return;
      this.#hasStopped = true;
      this.#out.push({ kind: "stopped" });
      return;
    }
    const isHopeless = lives.every((life) => life.phase === "given-up" || life.nodeId >= this.#nodes);
    if (isHopeless && !this.#hasGivenUp) this.#out.push({ kind: "given-up" });
    this.#hasGivenUp = isHopeless;
  }
}

function fieldsOf({ shardId, from, to, epoch, ms }: ShardArrival): Fields {
  return { shardId, from, to, epoch, ms: Math.round(ms) };
}
