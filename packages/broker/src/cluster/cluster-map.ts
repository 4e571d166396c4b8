/** How the other nodes reach a node. A path that is not absolute is one in the data folder that they share. */
export type NodePeerAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** Who belongs to the cluster, and who has which shard open. Made by the supervisor alone; a newer one replaces an older one as a whole. */
export interface ClusterMap {
  /** Grows from map to map, also from supervisor to supervisor. */
  readonly version: number;
  readonly nodes: readonly ClusterNodeEntry[];
  readonly shards: readonly ClusterShardEntry[];
}

export interface ClusterNodeEntry {
  /** 0..126; the number of its gateway, too. */
  readonly nodeId: number;
  /** A random u32, another one at each start of the node. */
  readonly run: number;
  readonly pid: number;
  readonly peer: NodePeerAddress;
  /** Its own client port; every node listens on the shared one besides. */
  readonly url: string;
  readonly state: "up" | "draining" | "down";
}

export interface ClusterShardEntry {
  readonly shardId: number;
  /** Its owner; null while nobody has it open. */
  readonly nodeId: number | null;
  /** Of the owner's opening; the last one known while there is no owner. */
  readonly epoch: number;
  /** Why it is out of service until an operator repairs it. */
  readonly failed?: string;
  /** It could not be opened several times in a row, and is tried on and on: nobody waits for it. */
  readonly isRetried?: true;
}

/** The map that a message holds. @throws TypeError naming what is wrong with it */
export function clusterMapOf(value: unknown, shardCount: number): ClusterMap {
  const { version, nodes, shards } = recordOf(value, "map");
  if (!isNatural(version)) throw new TypeError(`map.version must be a natural number: ${String(version)}`);
  if (!Array.isArray(nodes)) throw new TypeError("map.nodes must be an array");
  if (!Array.isArray(shards)) throw new TypeError("map.shards must be an array");
  const seen = new Set<number>();
  const map: ClusterMap = {
    version,
    nodes: nodes.map((node) => nodeOf(node)),
    shards: shards.map((shard) => shardOf(shard, shardCount)),
  };
  for (const { shardId } of map.shards) {
    if (seen.has(shardId)) throw new TypeError(`map.shards names shard ${shardId} twice`);
    seen.add(shardId);
  }
  if (new Set(map.nodes.map(({ nodeId }) => nodeId)).size < map.nodes.length) {
    throw new TypeError("map.nodes names a node twice");
  }
  return map;
}

function nodeOf(value: unknown): ClusterNodeEntry {
  const { nodeId, run, pid, peer, url, state } = recordOf(value, "map.nodes[]");
  if (!isNatural(nodeId) || nodeId >= 127) throw new TypeError(`nodeId must be 0..126: ${String(nodeId)}`);
  if (!isNatural(run) || !isNatural(pid)) throw new TypeError(`node ${nodeId} must have run and pid`);
  if (typeof url !== "string") throw new TypeError(`node ${nodeId} must have a url`);
  if (state !== "up" && state !== "draining" && state !== "down") {
    throw new TypeError(`the state of node ${nodeId} must be up, draining or down: ${String(state)}`);
  }
  return { nodeId, run, pid, peer: peerOf(peer, nodeId), url, state };
}

function peerOf(value: unknown, nodeId: number): NodePeerAddress {
  const { path, host, port } = recordOf(value, `the peer address of node ${nodeId}`);
  if (typeof path === "string" && path !== "") return { path };
  if (typeof host === "string" && isNatural(port) && port > 0 && port <= 0xffff) return { host, port };
  throw new TypeError(`the peer address of node ${nodeId} must be a path, or host and port`);
}

function shardOf(value: unknown, shardCount: number): ClusterShardEntry {
  const { shardId, nodeId, epoch, failed, isRetried } = recordOf(value, "map.shards[]");
  if (!isNatural(shardId) || shardId >= shardCount) {
    throw new TypeError(`no such shard: shardId=${String(shardId)} shards=${shardCount}`);
  }
  if (nodeId !== null && !isNatural(nodeId))
    throw new TypeError(`shard ${shardId} must have a nodeId or null`);
  if (!isNatural(epoch)) throw new TypeError(`shard ${shardId} must have an epoch`);
  if (isRetried === true) return { shardId, nodeId, epoch, isRetried };
  if (failed === undefined || failed === null) return { shardId, nodeId, epoch };
  if (typeof failed !== "string") throw new TypeError(`failed of shard ${shardId} must be a text`);
  return { shardId, nodeId, epoch, failed };
}

function recordOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${what} must be an object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
