import assert from "node:assert/strict";
import type { NodeShard } from "../../src/cluster/control-messages.ts";
import { ClusterPlan, type PlanCommand } from "../../src/supervisor/cluster-plan.ts";
import { SUPERVISOR_LIMITS } from "../../src/supervisor/supervisor-limits.ts";
import type { Seeded } from "../harness/seeded.ts";

/** Deaths are the rule here, not a reason to give a node up. */
const LIMITS = { ...SUPERVISOR_LIMITS, crashLoopDeaths: 1_000_000, settleMaxMs: 1_000, backoffMaxMs: 1_000 };
const CALM_STEPS_MAX = 100_000;

interface ModelNode {
  readonly nodeId: number;
  /** undefined: there is no process. */
  isAlive: boolean;
  isHung: boolean;
  isDraining: boolean;
  isReady: boolean;
  /** It has said hello to the present supervisor. */
  isGreeted: boolean;
  /** Its end was seen, and not yet told. */
  isGoneUntold: boolean;
  readonly shards: Map<number, { state: NodeShard["state"]; epoch: number }>;
  /** What was said to it and has not arrived. */
  requests: PlanCommand[];
  /** What it has said and has not arrived. */
  answers: (() => PlanCommand[])[];
  /** Who waits for the end of what it is doing with a shard. */
  readonly asked: Map<number, "open" | "close">;
}

/** Nodes that do what a ClusterPlan says, some time, and all that can happen to them. */
export class ModelCluster {
  readonly nodes: number;
  readonly shards: number;
  /** Times that a shard was told to be closed. */
  closes = 0;
  readonly #random: Seeded;
  readonly #nodes: ModelNode[];
  readonly #epochs: number[];
  readonly #pinned: Set<number> = new Set();
  #plan: ClusterPlan;
  #nowMs = 0;
  #failNext = false;

  constructor(random: Seeded, nodes: number, shards: number) {
    this.#random = random;
    this.nodes = nodes;
    this.shards = shards;
    this.#epochs = new Array<number>(shards).fill(0);
    this.#nodes = Array.from({ length: nodes }, (_, nodeId) => ({
      nodeId,
      isAlive: false,
      isHung: false,
      isDraining: false,
      isReady: false,
      isGreeted: false,
      isGoneUntold: false,
      shards: new Map(),
      requests: [],
      answers: [],
      asked: new Map(),
    }));
    this.#plan = new ClusterPlan(nodes, shards, LIMITS);
    this.#tell(this.#plan.start([], 0));
  }

  wait(ms: number): void {
    this.#nowMs += ms;
    if (this.#plan.nextTimerMs <= this.#nowMs) this.#tell(this.#plan.timer(this.#nowMs));
  }

  // ---- what goes wrong ----

  killNode(): void {
    const node = this.#aliveNode();
    if (node !== undefined) this.#die(node);
  }

  hangNode(): void {
    const node = this.#aliveNode();
    if (node === undefined || node.isHung) return;
    node.isHung = true;
    this.#tell(this.#plan.nodeLost(node.nodeId, "it hangs", this.#nowMs));
  }

  loseConnection(): void {
    const node = this.#aliveNode();
    if (node === undefined || node.isHung) return;
    node.isGreeted = false;
    this.#cut(node);
  }

  /** kill -9; another one is started at once. */
  restartSupervisor(): void {
    this.#plan = new ClusterPlan(this.nodes, this.shards, LIMITS);
    this.#pinned.clear();
    const found: number[] = [];
    for (const node of this.#nodes) {
      this.#cut(node);
      node.isGreeted = false;
      node.isGoneUntold = false;
      if (node.isAlive) found.push(node.nodeId);
    }
    this.#tell(this.#plan.start(found, this.#nowMs));
    for (const node of this.#nodes) {
      if (node.isHung) this.#tell(this.#plan.nodeLost(node.nodeId, "it hangs", this.#nowMs));
    }
  }

  move(): void {
    const shardId = this.#random.below(this.shards);
    try {
      this.#tell(this.#plan.move(shardId, this.#random.below(this.nodes), this.#nowMs).commands);
      this.#pinned.add(shardId);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "INVALID_REQUEST");
    }
  }

  restart(): void {
    if (!this.#plan.isRestarting) this.#tell(this.#plan.restart(this.#nowMs));
  }

  /** A shard's thread dies, and its node opens it again. */
  reopen(): void {
    const node = this.#aliveNode();
    for (const [shardId, shard] of node?.shards ?? []) {
      if (shard.state !== "open") continue;
      shard.epoch = this.#nextEpoch(shardId);
      const { epoch } = shard;
      this.#say(node as ModelNode, () =>
        this.#plan.shardReopened((node as ModelNode).nodeId, shardId, epoch, this.#nowMs),
      );
    }
  }

  /** A shard's thread dies, and its node cannot open it again. */
  loseShard(): void {
    const node = this.#aliveNode();
    for (const [shardId, { state }] of node?.shards ?? []) {
      if (state !== "open" || node === undefined) continue;
      node.shards.delete(shardId);
      const error = { code: "INTERNAL", message: "no" };
      this.#say(node, () => this.#plan.shardFailed(node.nodeId, shardId, error, this.#nowMs));
      return;
    }
  }

  failNextOpen(): void {
    this.#failNext = true;
  }

  // ---- what goes on ----

  /** One thing goes on, if there is one. */
  step(): boolean {
    const steps = this.#nodes.flatMap((node) => this.#stepsOf(node));
    if (steps.length === 0) return false;
    this.#random.pick(steps)();
    return true;
  }

  /** Nothing goes wrong any more, until nothing goes on any more. */
  calm(): void {
    this.#failNext = false;
    for (let steps = 0; ; steps += 1) {
      assert.ok(steps < CALM_STEPS_MAX, "it comes to rest");
      if (this.step()) continue;
      const timerMs = this.#plan.nextTimerMs;
      if (timerMs === Number.POSITIVE_INFINITY) return;
      this.wait(Math.max(0, timerMs - this.#nowMs) + 1);
    }
  }

  ownerOf(shardId: number): number {
    const owners = this.#nodes.filter((node) => node.isAlive && node.shards.get(shardId)?.state === "open");
    assert.equal(owners.length, 1, `shard ${shardId} has one owner`);
    return (owners[0] as ModelNode).nodeId;
  }

  /** Every shard is open, where the plan thinks it is, and no node has more than its share. */
  checkServed(): void {
    assert.ok(this.#plan.isServing, "it serves");
    assert.ok(!this.#plan.isRestarting, "the restart came to its end");
    const loads = new Array<number>(this.nodes).fill(0);
    for (const { shardId, nodeId, epoch } of this.#plan.shards()) {
      const owner = this.ownerOf(shardId);
      assert.equal(nodeId, owner);
      assert.equal(epoch, this.#epochs[shardId]);
      loads[owner] = (loads[owner] as number) + 1;
    }
    if (this.#pinned.size > 0) return;
    assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `evenly placed: ${loads.join(" ")}`);
  }

  /** Carries out what the plan wants. */
  told(command: PlanCommand): void {
    this.#tell([command]);
  }

  // ---- within ----

  #tell(commands: readonly PlanCommand[]): void {
    for (const command of commands) {
      if (command.kind === "log" || command.kind === "restarted") continue;
      assert.ok(command.kind !== "given-up" && command.kind !== "stopped");
      const node = this.#nodes[command.nodeId] as ModelNode;
      if (command.kind === "open") this.#checkOpen(node, command.shardId);
      if (command.kind === "close") this.closes += 1;
      if (command.kind === "start") {
        assert.ok(!node.isAlive, "a node runs once");
        Object.assign(node, { isAlive: true, isHung: false, isDraining: false, isReady: false });
        Object.assign(node, { isGreeted: false, isGoneUntold: false });
      } else if (command.kind === "kill") this.#die(node);
      else if (node.isAlive && node.isGreeted) node.requests.push(command);
    }
  }

  /** The rule that everything here is about. */
  #checkOpen(node: ModelNode, shardId: number): void {
    for (const other of this.#nodes) {
      if (other === node || !other.isAlive) continue;
      assert.ok(!other.shards.has(shardId), `node ${other.nodeId} may have shard ${shardId}`);
      const isTold = other.requests.some((request) => request.kind === "open" && request.shardId === shardId);
      assert.ok(!isTold, `node ${other.nodeId} may have shard ${shardId}: it is being told`);
    }
  }

  #aliveNode(): ModelNode | undefined {
    const alive = this.#nodes.filter((node) => node.isAlive);
    return alive.length === 0 ? undefined : this.#random.pick(alive);
  }

  #die(node: ModelNode): void {
    if (!node.isAlive) return;
    node.isAlive = false;
    node.isGoneUntold = true;
    node.shards.clear();
    this.#cut(node);
  }

  #cut(node: ModelNode): void {
    node.requests = [];
    node.answers = [];
    node.asked.clear();
  }

  #say(node: ModelNode, answer: () => PlanCommand[]): void {
    if (node.isGreeted) node.answers.push(answer);
  }

  #nextEpoch(shardId: number): number {
    this.#epochs[shardId] = (this.#epochs[shardId] as number) + 1;
    return this.#epochs[shardId] as number;
  }

  #stepsOf(node: ModelNode): (() => void)[] {
    const { nodeId } = node;
    if (node.isGoneUntold) {
      return [
        () => {
          node.isGoneUntold = false;
          this.#tell(this.#plan.nodeGone(nodeId, {}, this.#nowMs));
        },
      ];
    }
    if (!node.isAlive || node.isHung) return [];
    const steps: (() => void)[] = [];
    if (!node.isGreeted) steps.push(() => this.#greet(node));
    const [request] = node.requests;
    if (request !== undefined) steps.push(() => this.#take(node, request));
    const [answer] = node.answers;
    if (answer !== undefined) {
      steps.push(() => {
        node.answers.shift();
        this.#tell(answer());
      });
    }
    for (const [shardId, { state }] of node.shards) {
      if (state === "opening") steps.push(() => this.#opened(node, shardId));
      if (state === "closing") steps.push(() => this.#closed(node, shardId));
    }
    // Without the catalog nobody is ready.
    const hasCatalog = this.#nodes.some((other) => other.isAlive && other.shards.get(0)?.state === "open");
    if (node.isGreeted && !node.isReady && hasCatalog) {
      steps.push(() => {
        node.isReady = true;
        this.#say(node, () => this.#plan.nodeReady(nodeId, this.#nowMs));
      });
    }
    if (node.isDraining && node.shards.size === 0) steps.push(() => this.#die(node));
    return steps;
  }

  #greet(node: ModelNode): void {
    node.isGreeted = true;
    const { nodeId, isReady } = node;
    const shards = [...node.shards].map(([shardId, shard]) => ({ shardId, ...shard }));
    this.#tell(this.#plan.nodeGreeted(nodeId, shards, isReady, this.#nowMs));
    // What it was asked for may not have arrived: it has its time, and no more.
    const isAsked = this.#plan.life(nodeId)?.phase === "draining";
    if (isAsked) this.#tell(this.#plan.nodeLost(nodeId, "it does not end", this.#nowMs));
    else if (node.isDraining) this.#die(node);
  }

  #take(node: ModelNode, request: PlanCommand): void {
    node.requests.shift();
    const { nodeId } = node;
    if (request.kind === "drain") {
      node.isDraining = true;
      for (const shard of node.shards.values()) if (shard.state === "open") shard.state = "closing";
      return;
    }
    assert.ok(request.kind === "open" || request.kind === "close");
    const { shardId } = request;
    const shard = node.shards.get(shardId);
    if (request.kind === "open") {
      if (shard?.state === "open") {
        const { epoch } = shard;
        this.#say(node, () => this.#plan.shardOpened(nodeId, shardId, epoch, this.#nowMs));
        return;
      }
      if (shard === undefined) node.shards.set(shardId, { state: "opening", epoch: 0 });
      node.asked.set(shardId, "open");
      return;
    }
    if (shard === undefined) {
      this.#say(node, () => this.#plan.shardClosed(nodeId, shardId, this.#nowMs));
      return;
    }
    shard.state = "closing";
    node.asked.set(shardId, "close");
  }

  #opened(node: ModelNode, shardId: number): void {
    const { nodeId } = node;
    const isAsked = node.asked.delete(shardId);
    if (this.#failNext) {
      this.#failNext = false;
      node.shards.delete(shardId);
      const error = { code: "INTERNAL", message: "no" };
      if (isAsked) this.#say(node, () => this.#plan.shardOpenFailed(nodeId, shardId, error, this.#nowMs));
      return;
    }
    const epoch = this.#nextEpoch(shardId);
    node.shards.set(shardId, { state: node.isDraining ? "closing" : "open", epoch });
    if (isAsked) this.#say(node, () => this.#plan.shardOpened(nodeId, shardId, epoch, this.#nowMs));
  }

  #closed(node: ModelNode, shardId: number): void {
    node.shards.delete(shardId);
    if (!node.asked.delete(shardId)) return;
    this.#say(node, () => this.#plan.shardClosed(node.nodeId, shardId, this.#nowMs));
  }
}
