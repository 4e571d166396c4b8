import type { NodeShard } from "../cluster/control-messages.ts";

/** A shard, or a node, that was tried so often in vain does not hold up what is to be done with the nodes. */
export const FUTILE_FAILURES = 3;

/** A node that may have a shard open. */
export interface Holding {
  state: NodeShard["state"];
  epoch: number;
}

/** What is known of a shard. */
export interface ShardRow {
  readonly shardId: number;
  /** Nodes that may have it open. It is opened nowhere while there is one, and more than one only when they are found so. */
  readonly holders: Map<number, Holding>;
  /** The last one known. */
  epoch: number;
  failed: string | undefined;
  /** Where it is on its way to. */
  target: number | undefined;
  /** Where it was moved to by command: it goes back there. */
  pinned: number | undefined;
  /** Who had it last, when that ended, and whether by a move. */
  from: number | null;
  sinceMs: number;
  isMove: boolean;
  /** Openings that failed in a row, where the last one did, and when it may be tried again. */
  failures: number;
  failedAt: number | undefined;
  notBeforeMs: number;
  /** Nodes that died in a row while they opened it. */
  deaths: number;
}

/** What is known of a node that answers. */
export interface NodeRow {
  readonly nodeId: number;
  /** When shards may be moved to it; Infinity while it is not ready. */
  settledAtMs: number;
  /** Shards that were moved to it in vain, in a row, and until when others are preferred for that. */
  refusals: number;
  shunnedUntilMs: number;
  isReady: boolean;
  /** Its shards are taken away, one after the other. */
  isLeaving: boolean;
  /** It closes its shards itself, and ends. */
  isDraining: boolean;
}

export function newNodeRow(nodeId: number): NodeRow {
  return {
    nodeId,
    settledAtMs: Number.POSITIVE_INFINITY,
    refusals: 0,
    shunnedUntilMs: 0,
    isReady: false,
    isLeaving: false,
    isDraining: false,
  };
}

export function newShardRow(shardId: number): ShardRow {
  return {
    shardId,
    holders: new Map(),
    epoch: 0,
    failed: undefined,
    target: undefined,
    pinned: undefined,
    from: null,
    sinceMs: 0,
    isMove: false,
    failures: 0,
    failedAt: undefined,
    notBeforeMs: 0,
    deaths: 0,
  };
}

/** Who has it open; while it is found at several, the newest. */
export function ownerOf(row: ShardRow): number | undefined {
  let owner: number | undefined;
  let newest = -1;
  for (const [nodeId, { state, epoch }] of row.holders) {
    if (state !== "open" || epoch <= newest) continue;
    owner = nodeId;
    newest = epoch;
  }
  return owner;
}

/** Nobody has it, and somebody should. */
export function isFree(row: ShardRow): boolean {
  return row.holders.size === 0 && row.failed === undefined;
}

/** It is being opened somewhere. */
export function isOpening(row: ShardRow): boolean {
  for (const { state } of row.holders.values()) if (state === "opening") return true;
  return false;
}

/** It is out of service, or was tried so often in vain that nobody waits for it. */
export function isFutile(row: ShardRow): boolean {
  return row.failed !== undefined || row.failures >= FUTILE_FAILURES;
}

/** Shards of each node, and those on their way to it. */
export function loadsOf(shards: readonly ShardRow[]): ReadonlyMap<number, number> {
  const loads = new Map<number, number>();
  for (const row of shards) {
    let at: number | undefined;
    for (const [nodeId, { state }] of row.holders) if (state !== "closing") at = nodeId;
    at = row.target ?? at;
    if (at !== undefined) loads.set(at, (loads.get(at) ?? 0) + 1);
  }
  return loads;
}

export function leastLoaded(
  nodes: readonly NodeRow[],
  loads: ReadonlyMap<number, number>,
): NodeRow | undefined {
  let best: NodeRow | undefined;
  for (const node of nodes) {
    const load = loads.get(node.nodeId) ?? 0;
    const least = best === undefined ? Number.POSITIVE_INFINITY : (loads.get(best.nodeId) ?? 0);
    if (load < least || (load === least && best !== undefined && node.nodeId < best.nodeId)) best = node;
  }
  return best;
}

/** Nodes that shards may be opened at: ready ones rather than those that still start, and those that could of late rather than the others. */
export function takersOf(nodes: Iterable<NodeRow>, nowMs: number): NodeRow[] {
  const staying = [...nodes].filter((node) => !node.isLeaving && !node.isDraining);
  const ready = staying.filter((node) => node.isReady);
  const able = ready.filter((node) => node.shunnedUntilMs <= nowMs);
  return [able, ready, staying].find((some) => some.length > 0) ?? [];
}

/** When shards may be moved to it to make shares more even. */
export function movableAtMs({ settledAtMs, shunnedUntilMs }: NodeRow): number {
  return Math.max(settledAtMs, shunnedUntilMs);
}
