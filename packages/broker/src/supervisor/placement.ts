import { MillraceError } from "@millrace/protocol";
import type { ClusterShardEntry } from "../cluster/cluster-map.ts";
import type { NodeShard } from "../cluster/control-messages.ts";
import { needsRepair } from "../cluster/failure-codes.ts";
import { nextBalancing, nextEvacuation } from "./next-move.ts";
import {
  FUTILE_FAILURES,
  type Holding,
  isFree,
  isFutile,
  isOpening,
  leastLoaded,
  loadsOf,
  movableAtMs,
  type NodeRow,
  newNodeRow,
  newShardRow,
  ownerOf,
  type ShardRow,
  takersOf,
} from "./placement-rows.ts";
import type { SupervisorLimits } from "./supervisor-limits.ts";

/** What a node is to be told about a shard. */
export interface ShardCommand {
  readonly kind: "open" | "close";
  readonly nodeId: number;
  readonly shardId: number;
}

/** A shard is open at a node. */
export interface ShardArrival {
  readonly shardId: number;
  readonly why: "opened" | "moved" | "taken-over";
  /** Who had it before; null: nobody that we know of. */
  readonly from: number | null;
  readonly to: number;
  readonly epoch: number;
  /** From the moment at which its former owner was told to close it, or had gone; of a first opening from when it was told. */
  readonly ms: number;
}

/** A shard whose opening ended with so many nodes in a row is opened while no other such one is: one of them does it. */
const SUSPECT_DEATHS = 2;

/** A shard whose opening ends with its node again and again. */
export interface DeadlyShard {
  readonly shardId: number;
  /** Nodes that died while they opened it, in a row. */
  readonly deaths: number;
  /** Until it is tried again. */
  readonly pauseMs: number;
}

type PlacementLimits = Pick<
  SupervisorLimits,
  "reopenMinMs" | "reopenMaxMs" | "deadlyReopenMaxMs" | "shunMinMs" | "shunMaxMs"
>;

/**
 * Which node has which shard. A shard is opened by one node at a time, and nowhere before all that may have it open have
 * answered `close` or are known to be dead. Shards without an owner are opened at once, at whoever has least; everything else
 * (evening out, emptying a node) is one move at a time, and waits until no shard is on its way.
 *
 * No clock and no I/O: tell it what happened, then let it `act`.
 */
export class Placement {
  readonly #limits: PlacementLimits;
  readonly #shards: readonly ShardRow[];
  readonly #nodes: Map<number, NodeRow> = new Map();
  /** Answers that an earlier supervisor was to get: asking again joins in. */
  #joins: ShardCommand[] = [];
  #hasBegun = false;
  #hasEnded = false;
  #wantsBalance = false;
  #holds = 0;
  #actedAtMs = Number.NEGATIVE_INFINITY;

  constructor(shards: number, limits: PlacementLimits) {
    this.#limits = limits;
    this.#shards = Array.from({ length: shards }, (_, shardId) => newShardRow(shardId));
  }

  // ---- nodes ----

  /** A node answers, for the first time or once more, and says which shards it has. */
  nodeUp(nodeId: number, held: readonly NodeShard[], nowMs: number): void {
    if (!this.#nodes.has(nodeId)) {
      this.#nodes.set(nodeId, newNodeRow(nodeId));
      this.#wantsBalance = true;
    }
    const has = new Map(held.map((shard) => [shard.shardId, shard]));
    for (const row of this.#shards) {
      const shard = has.get(row.shardId);
      if (shard !== undefined) this.#found(row, nodeId, shard);
      else if (row.holders.has(nodeId)) this.#freed(row, nodeId, nowMs);
    }
  }

  nodeReady(nodeId: number, settledAtMs: number): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    node.isReady = true;
    node.settledAtMs = settledAtMs;
  }

  /** Takes its shards away, or gives it its share again. */
  nodeLeaving(nodeId: number, isLeaving: boolean): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.isLeaving === isLeaving) return;
    node.isLeaving = isLeaving;
    if (!isLeaving) this.#wantsBalance = true;
  }

  /** It closes its shards itself and ends; nothing is opened there any more. */
  nodeDraining(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) node.isDraining = true;
  }

  /** Its process is there no longer: nobody has its shards. @returns those that seem to be what it dies of */
  nodeGone(nodeId: number, nowMs: number): DeadlyShard[] {
    const hasDied = this.#nodes.get(nodeId)?.isDraining === false;
    const deadly: DeadlyShard[] = [];
    this.#nodes.delete(nodeId);
    this.#wantsBalance = true;
    this.#joins = this.#joins.filter((join) => join.nodeId !== nodeId);
    for (const row of this.#shards) {
      const state = row.holders.get(nodeId)?.state;
      if (state === undefined) continue;
      // Whatever was planned for it: it is taken over now.
      row.isMove = false;
      this.#freed(row, nodeId, nowMs);
      if (!hasDied || state !== "opening") continue;
      const pauseMs = this.#died(row, nodeId, nowMs);
      if (row.deaths > SUSPECT_DEATHS) deadly.push({ shardId: row.shardId, deaths: row.deaths, pauseMs });
    }
    return deadly;
  }

  // ---- shards ----

  /** Undefined when it is not news, or not wanted there any more. */
  opened(nodeId: number, shardId: number, epoch: number, nowMs: number): ShardArrival | undefined {
    const row = this.#row(shardId);
    const holding = row.holders.get(nodeId);
    if (holding === undefined) return undefined;
    const wasOpening = holding.state === "opening";
    if (wasOpening) holding.state = "open";
    holding.epoch = epoch;
    row.epoch = Math.max(row.epoch, epoch);
    if (!wasOpening) return undefined;
    row.failures = 0;
    row.deaths = 0;
    row.failedAt = undefined;
    this.#shun(nodeId, 0, nowMs);
    row.target = undefined;
    const why = row.from === null ? "opened" : row.isMove ? "moved" : "taken-over";
    const arrival = { shardId, why, from: row.from, to: nodeId, epoch, ms: nowMs - row.sinceMs } as const;
    row.isMove = false;
    return arrival;
  }

  /** True if trying again is of no use. */
  openFailed(nodeId: number, shardId: number, code: string, message: string, nowMs: number): boolean {
    const row = this.#row(shardId);
    if (row.holders.get(nodeId)?.state === "opening") row.holders.delete(nodeId);
    if (code === "DRAINING") this.nodeDraining(nodeId);
    return this.#fail(row, nodeId, code, message, nowMs);
  }

  /** It answered `close`, or says otherwise that it has the shard no longer. */
  closed(nodeId: number, shardId: number, nowMs: number): void {
    const row = this.#row(shardId);
    if (row.holders.has(nodeId)) this.#freed(row, nodeId, nowMs);
  }

  /** The node has lost it, and has it no longer, unless it was asked about it since. True if trying again is of no use. */
  failed(nodeId: number, shardId: number, code: string, message: string, nowMs: number): boolean {
    const row = this.#row(shardId);
    const state = row.holders.get(nodeId)?.state;
    const isFinal = needsRepair(code);
    // An answer follows, and until then the node may have it open once more.
    if (state === "opening" || (state === "closing" && !isFinal)) return isFinal;
    if (state === "open") this.#freed(row, nodeId, nowMs);
    // What becomes of an earlier owner's concerns nobody.
    const isOurs = ownerOf(row) === undefined && (state !== undefined || isFinal);
    if (isOurs) this.#fail(row, nodeId, code, message, nowMs);
    return isFinal;
  }

  /** Somebody else has opened it; the rest as with failed(). */
  fenced(nodeId: number, shardId: number, nowMs: number): void {
    const row = this.#row(shardId);
    if (row.holders.get(nodeId)?.state === "open") this.#freed(row, nodeId, nowMs);
  }

  /** The node has opened it again by itself. */
  reopened(nodeId: number, shardId: number, epoch: number): void {
    const row = this.#row(shardId);
    const holding = row.holders.get(nodeId);
    if (holding === undefined) return;
    holding.epoch = epoch;
    row.epoch = Math.max(row.epoch, epoch);
  }

  /**
   * Moves a shard, and keeps it there; false: it is there already.
   * @throws MillraceError INVALID_REQUEST
   */
  move(shardId: number, to: number): boolean {
    const row = this.#shards[shardId];
    if (row === undefined) {
      throw refused(`no such shard: shard=${shardId} shards=${this.#shards.length}`);
    }
    const node = this.#nodes.get(to);
    if (node === undefined) throw refused(`node ${to} does not run`);
    if (node.isLeaving || node.isDraining) throw refused(`node ${to} is being emptied`);
    if (!this.#hasCatalog)
      throw refused("shard 0, which has the catalog, is not open: nothing can be opened");
    if (this.#holds > 0) throw refused("a backup is under way: try again when it is done");
    if (row.failed !== undefined) throw refused(`shard ${shardId} is out of service: ${row.failed}`);
    const [holder, ...more] = row.holders;
    if (holder === undefined || more.length > 0 || holder[1].state !== "open") {
      throw refused(`shard ${shardId} is on its way: try again in a moment`);
    }
    row.pinned = to;
    if (holder[0] === to) return false;
    row.target = to;
    return true;
  }

  // ---- the whole ----

  /** From here on shards without an owner are opened. */
  begin(): void {
    this.#hasBegun = true;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** From here on nothing is done any more. */
  end(): void {
    this.#hasEnded = true;
    this.#joins = [];
  }

  /** While somebody needs shards to stay where they are; a shard without an owner is opened all the same. */
  holdMoves(isHeld: boolean): void {
    this.#holds += isHeld ? 1 : -1;
  }

  /** What is to be done now; each command is given once. */
  act(nowMs: number): ShardCommand[] {
    if (this.#hasEnded) return [];
    this.#actedAtMs = nowMs;
    const commands = this.#joins;
    this.#joins = [];
    for (const row of this.#shards) this.#actOn(row, nowMs, commands);
    const mayMove = this.#hasBegun && this.#isStill && this.#holds === 0 && this.#hasCatalog;
    if (commands.length === 0 && mayMove) this.#moveOne(nowMs, commands);
    return commands;
  }

  /** When to `act` although nothing has happened; Infinity: never. What became due since it acted last is due in the past. */
  get timerMs(): number {
    let timerMs = Number.POSITIVE_INFINITY;
    const later = (ms: number): void => {
      if (ms > this.#actedAtMs && ms < timerMs) timerMs = ms;
    };
    for (const row of this.#shards) if (isFree(row)) later(row.notBeforeMs);
    if (this.#wantsBalance) for (const node of this.#nodes.values()) later(movableAtMs(node));
    return timerMs;
  }

  /** Every shard is open, or known to be out of service. */
  get isPlaced(): boolean {
    return this.#shards.every((row) => row.failed !== undefined || ownerOf(row) !== undefined);
  }

  /** The same, but for those that were tried several times in vain. */
  get isPlacedIfPossible(): boolean {
    return this.#shards.every((row) => isFutile(row) || ownerOf(row) !== undefined);
  }

  /** Nothing moves, and nothing is going to as things stand; what cannot be opened anywhere is not waited for. */
  get isSettled(): boolean {
    const isPlaced = this.isPlacedIfPossible;
    const isBalanced =
      !this.#wantsBalance ||
      this.obstacle !== undefined ||
      this.#shards.some((row) => isFree(row)) ||
      [...this.#nodes.values()].some(({ refusals }) => refusals >= FUTILE_FAILURES);
    return this.#hasBegun && isPlaced && this.#isStill && isBalanced;
  }

  /** It is on its way, or about to be. */
  isMoving(shardId: number): boolean {
    const row = this.#row(shardId);
    return row.target !== undefined || ownerOf(row) === undefined;
  }

  /** Shards that the node may have open. */
  shardsOf(nodeId: number): number[] {
    return this.#shards.filter((row) => row.holders.has(nodeId)).map(({ shardId }) => shardId);
  }

  get failures(): readonly { readonly shardId: number; readonly reason: string }[] {
    return this.#shards.flatMap(({ shardId, failed }) =>
      failed === undefined ? [] : [{ shardId, reason: failed }],
    );
  }

  /** Why no node could serve anything that it does not serve now, and will not before a repair. */
  get obstacle(): string | undefined {
    const { failed } = this.#row(0);
    return failed === undefined ? undefined : `shard 0, which has the catalog, is out of service: ${failed}`;
  }

  entries(): ClusterShardEntry[] {
    return this.#shards.map((row) => {
      const { shardId, epoch, failed } = row;
      const entry = { shardId, nodeId: ownerOf(row) ?? null, epoch };
      if (failed !== undefined) return { ...entry, failed };
      return entry.nodeId === null && isFutile(row) ? { ...entry, isRetried: true } : entry;
    });
  }

  // ---- within ----

  #row(shardId: number): ShardRow {
    const row = this.#shards[shardId];
    if (row === undefined) throw new RangeError(`no such shard: shardId=${shardId}`);
    return row;
  }

  /** What a node says of a shard against what is known of it. */
  #found(row: ShardRow, nodeId: number, { state, epoch }: NodeShard): void {
    const { shardId } = row;
    const known = row.holders.get(nodeId);
    row.epoch = Math.max(row.epoch, epoch);
    if (known === undefined) {
      row.holders.set(nodeId, { state, epoch });
      if (state === "opening") this.#joins.push({ kind: "open", nodeId, shardId });
      if (state === "closing") this.#joins.push({ kind: "close", nodeId, shardId });
      if (state === "open") row.from = nodeId;
      return;
    }
    known.epoch = Math.max(known.epoch, epoch);
    // Our own question may not have arrived, or its answer was lost.
    if (known.state === "closing" || state === "closing") {
      known.state = "closing";
      this.#joins.push({ kind: "close", nodeId, shardId });
    } else if (known.state === "opening") this.#joins.push({ kind: "open", nodeId, shardId });
  }

  /** The node has it no longer. */
  #freed(row: ShardRow, nodeId: number, nowMs: number): void {
    const { state } = row.holders.get(nodeId) as Holding;
    row.holders.delete(nodeId);
    if (state === "opening") return;
    row.from = nodeId;
    // A move is timed from the moment at which it was asked for.
    if (state === "open" || !row.isMove) {
      row.sinceMs = nowMs;
      row.isMove = false;
    }
  }

  /** True if it needs a repair; else it is tried again in a while, elsewhere if there is somebody else. */
  #fail(row: ShardRow, nodeId: number, code: string, message: string, nowMs: number): boolean {
    const wasMoved = row.target === nodeId;
    row.target = undefined;
    if (needsRepair(code)) {
      row.failed = `${code}: ${message}`;
      return true;
    }
    if (wasMoved && code !== "DRAINING") {
      this.#shun(nodeId, 1, nowMs);
      if (row.pinned === nodeId) row.pinned = undefined;
    }
    const { reopenMinMs, reopenMaxMs } = this.#limits;
    // Of a node that ends there is nothing to wait for: another one may well open it.
    const pauseMs = code === "DRAINING" ? 0 : Math.min(reopenMaxMs, reopenMinMs * 2 ** row.failures);
    row.notBeforeMs = nowMs + pauseMs;
    row.failures += 1;
    row.failedAt = nodeId;
    // It may be opened where it would not have been placed.
    this.#wantsBalance = true;
    return false;
  }

  /** Its node died while it opened it, and may have died of that. @returns until it is tried again */
  #died(row: ShardRow, nodeId: number, nowMs: number): number {
    const { reopenMinMs, deadlyReopenMaxMs } = this.#limits;
    const pauseMs = Math.min(deadlyReopenMaxMs, reopenMinMs * 10 ** row.deaths);
    row.deaths += 1;
    row.failures += 1;
    row.failedAt = nodeId;
    row.target = undefined;
    row.notBeforeMs = nowMs + pauseMs;
    return pauseMs;
  }

  /** Of several that nodes may have died of one is opened after the other. All wait for the catalog: its shard waits for none. */
  #mustWait(row: ShardRow): boolean {
    if (row.deaths < SUSPECT_DEATHS || row.shardId === 0) return false;
    return this.#shards.some((other) => other.deaths >= SUSPECT_DEATHS && isOpening(other));
  }

  /** A shard that could be opened where it was may be moved there in vain for ever. */
  #shun(nodeId: number, refusals: 0 | 1, nowMs: number): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    const { shunMinMs, shunMaxMs } = this.#limits;
    const pauseMs = Math.min(shunMaxMs, shunMinMs * 2 ** node.refusals);
    node.shunnedUntilMs = refusals === 0 ? 0 : nowMs + pauseMs;
    node.refusals = refusals === 0 ? 0 : node.refusals + 1;
  }

  #actOn(row: ShardRow, nowMs: number, commands: ShardCommand[]): void {
    const { shardId, holders } = row;
    if (holders.size > 1) this.#keepOne(row, commands);
    else if (holders.size === 1 && row.target !== undefined) {
      const [[nodeId, holding]] = holders as unknown as [[number, Holding]];
      if (holding.state === "open" && nodeId !== row.target) {
        holding.state = "closing";
        row.isMove = true;
        row.sinceMs = nowMs;
        commands.push({ kind: "close", nodeId, shardId });
      }
    } else if (isFree(row) && this.#hasBegun && nowMs >= row.notBeforeMs) {
      const node = this.#mustWait(row) ? undefined : this.#choose(row, nowMs);
      if (node === undefined) return;
      holders.set(node.nodeId, { state: "opening", epoch: 0 });
      if (row.from === null && row.failures === 0) row.sinceMs = nowMs;
      commands.push({ kind: "open", nodeId: node.nodeId, shardId });
    }
  }

  /** Found at several nodes: the newest owner is the owner, whose fence has shut the others out already. */
  #keepOne(row: ShardRow, commands: ShardCommand[]): void {
    const { shardId } = row;
    const live = [...row.holders].filter(([, { state }]) => state !== "closing");
    if (live.length === 0) return;
    const keeper = live.reduce((best, one) => (one[1].epoch > best[1].epoch ? one : best));
    for (const [nodeId, holding] of live) {
      if (nodeId === keeper[0]) continue;
      holding.state = "closing";
      commands.push({ kind: "close", nodeId, shardId });
    }
  }

  /** Without it what is closed could be opened nowhere. */
  get #hasCatalog(): boolean {
    return ownerOf(this.#row(0)) !== undefined;
  }

  /** No shard is on its way from or to a node. */
  get #isStill(): boolean {
    return this.#shards.every((row) => {
      for (const { state } of row.holders.values()) if (state !== "open") return false;
      return row.holders.size < 2 && (row.target === undefined || row.holders.has(row.target));
    });
  }

  #choose(row: ShardRow, nowMs: number): NodeRow | undefined {
    let nodes = takersOf(this.#nodes.values(), nowMs);
    // Better at one that is to be emptied than nowhere.
    if (nodes.length === 0) nodes = [...this.#nodes.values()].filter((node) => !node.isDraining);
    for (const wanted of [row.target, row.pinned]) {
      const node = nodes.find(({ nodeId }) => nodeId === wanted);
      if (node !== undefined && node.nodeId !== row.failedAt) return node;
    }
    const others = nodes.filter(({ nodeId }) => nodeId !== row.failedAt);
    return leastLoaded(others.length > 0 ? others : nodes, loadsOf(this.#shards));
  }

  #moveOne(nowMs: number, commands: ShardCommand[]): void {
    const move =
      nextEvacuation(this.#shards, this.#nodes, nowMs) ??
      (this.#wantsBalance ? nextBalancing(this.#shards, this.#nodes, nowMs) : undefined);
    if (move === undefined) {
      // Those that come later are waited for; what cannot be moved now is not wanted for ever.
      const pending =
        this.#shards.some((row) => isFree(row)) ||
        [...this.#nodes.values()].some((node) => !node.isDraining && movableAtMs(node) > nowMs);
      this.#wantsBalance &&= pending;
      return;
    }
    move.row.target = move.to;
    this.#actOn(move.row, nowMs, commands);
  }
}

function refused(message: string): MillraceError {
  return new MillraceError("INVALID_REQUEST", message);
}
