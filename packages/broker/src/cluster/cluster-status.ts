import type { NodeAnswer, NodeReport, ShardReport, UnreachedNode } from "../node/cluster-status.ts";
import type { ClusterMap } from "./cluster-map.ts";

/** RPC without arguments: a NodeAnswer. */
export const STATUS_CALL = "status";

/** A node that does not answer in this time is shown as unreached. */
export const STATUS_TIMEOUT_MS = 1_000;

export interface StatusQuestions {
  readonly nodeId: number;
  readonly map: ClusterMap | undefined;
  readonly own: () => Promise<NodeAnswer>;
  /** Asks another node; rejects when there is no link to it. */
  readonly ask: (nodeId: number) => Promise<unknown>;
}

/** How all nodes and shards are: each node is asked for itself, and those that do not answer are named. */
export async function askNodes({ nodeId, map, own, ask }: StatusQuestions): Promise<{
  nodes: (NodeReport | UnreachedNode)[];
  shards: ShardReport[];
}> {
  const others = (map?.nodes ?? []).filter((entry) => entry.nodeId !== nodeId);
  const unreached = new Map<number, string>();
  const answers = await Promise.all([
    own(),
    ...others.map(async ({ nodeId: other, state }): Promise<NodeAnswer | undefined> => {
      if (state === "down") {
        unreached.set(other, "the node does not run");
        return undefined;
      }
      try {
        return (await ask(other)) as NodeAnswer;
      } catch (error) {
        unreached.set(other, error instanceof Error ? error.message : String(error));
        return undefined;
      }
    }),
  ]);
  const nodes: (NodeReport | UnreachedNode)[] = [];
  const said = new Map<number, ShardReport>();
  for (const answer of answers) {
    if (answer === undefined) continue;
    nodes.push(answer.node);
    for (const shard of answer.shards) {
      // Of two that say they have it, the later opening is the one that counts.
      if ((said.get(shard.shardId)?.epoch ?? -1) < shard.epoch) said.set(shard.shardId, shard);
    }
  }
  for (const { nodeId: other, state } of others) {
    const why = unreached.get(other);
    if (why !== undefined) nodes.push({ nodeId: other, state, unreached: why });
  }
  nodes.sort((a, b) => a.nodeId - b.nodeId);
  return { nodes, shards: shardRows(map, said) };
}

function shardRows(map: ClusterMap | undefined, said: ReadonlyMap<number, ShardReport>): ShardReport[] {
  const rows = new Map<number, ShardReport>(said);
  for (const { shardId, nodeId, epoch, failed } of map?.shards ?? []) {
    if (failed !== undefined) rows.set(shardId, { shardId, nodeId, state: "failed", epoch, failed });
    if (rows.has(shardId)) continue;
    rows.set(shardId, { shardId, nodeId, state: nodeId === null ? "down" : "unreached", epoch });
  }
  return [...rows.values()].sort((a, b) => a.shardId - b.shardId);
}
