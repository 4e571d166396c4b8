/** How many processes and threads a machine gets. */
export interface Topology {
  readonly nodes: number;
  /** Threads that run shards, of all nodes together. */
  readonly shardThreads: number;
  /** For people, one line: `4 nodes and 12 shard threads for 16 cores: …`. */
  readonly reason: string;
}

/** A gateway is one thread; it keeps about as many shard threads busy as there are cores left over for one. */
const CORES_PER_NODE = 4;
/** Ids carry a node's number in seven bits. */
const NODES_MAX = 127;

/**
 * Nodes and shard threads for a machine of so many cores (`os.availableParallelism()`), where nothing is configured:
 * a node for every four cores, and a shard thread for each core that no node's gateway takes; one of both at least.
 */
export function defaultTopology(cores: number): Topology {
  const nodes = Math.min(NODES_MAX, Math.max(1, Math.floor(cores / CORES_PER_NODE)));
  const shardThreads = Math.max(1, cores - nodes);
  const size = `${counted(nodes, "node")} and ${counted(shardThreads, "shard thread")} for ${counted(cores, "core")}`;
  const rule = `a node for every ${CORES_PER_NODE} cores, a shard thread for each core left, one of both at least`;
  return { nodes, shardThreads, reason: `${size}: ${rule}` };
}

function counted(amount: number, noun: string): string {
  return amount === 1 ? `1 ${noun}` : `${amount} ${noun}s`;
}
