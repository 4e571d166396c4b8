import {
  leastLoaded,
  loadsOf,
  movableAtMs,
  type NodeRow,
  ownerOf,
  type ShardRow,
  takersOf,
} from "./placement-rows.ts";

export interface ShardMove {
  readonly row: ShardRow;
  readonly to: number;
}

/** The next shard of a node that is to be emptied, and who gets it. */
export function nextEvacuation(
  shards: readonly ShardRow[],
  nodes: ReadonlyMap<number, NodeRow>,
  nowMs: number,
): ShardMove | undefined {
  const takers = takersOf(nodes.values(), nowMs).filter((node) => node.isReady);
  const to = leastLoaded(takers, loadsOf(shards));
  if (to === undefined) return undefined;
  const row = shards.find((shard) => {
    const owner = nodes.get(ownerOf(shard) ?? -1);
    return owner?.isLeaving === true && !owner.isDraining;
  });
  return row && { row, to: to.nodeId };
}

/** The next move that brings a shard back to where it was moved by command, or makes the nodes' shares more even. */
export function nextBalancing(
  shards: readonly ShardRow[],
  nodes: ReadonlyMap<number, NodeRow>,
  nowMs: number,
): ShardMove | undefined {
  const settled = takersOf(nodes.values(), nowMs).filter(
    (node) => node.isReady && movableAtMs(node) <= nowMs,
  );
  return homecoming(shards, settled) ?? evening(shards, settled);
}

function homecoming(shards: readonly ShardRow[], settled: readonly NodeRow[]): ShardMove | undefined {
  for (const row of shards) {
    const owner = ownerOf(row);
    const to = row.pinned;
    if (owner === undefined || to === undefined || owner === to) continue;
    if (settled.some(({ nodeId }) => nodeId === to)) return { row, to };
  }
  return undefined;
}

/** From who has most to who has least. */
function evening(shards: readonly ShardRow[], settled: readonly NodeRow[]): ShardMove | undefined {
  const loads = loadsOf(shards);
  const to = leastLoaded(settled, loads);
  if (to === undefined) return undefined;
  let best: ShardRow | undefined;
  // One more than the least is even enough.
  let most = (loads.get(to.nodeId) ?? 0) + 1;
  // The highest numbers first: shard 0 has the catalog, which every node would have to look for anew.
  for (const row of [...shards].reverse()) {
    const owner = ownerOf(row);
    if (owner === undefined || row.pinned === owner) continue;
    const load = loads.get(owner) ?? 0;
    if (load <= most) continue;
    most = load;
    best = row;
  }
  return best && { row: best, to: to.nodeId };
}
