import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { ShardWay } from "../node/shard-way.ts";
import type { LinkStatus } from "../peer/link-status.ts";
import type { ClusterMap, ClusterNodeEntry } from "./cluster-map.ts";

/** A link to another node; PeerLink, or a double in tests. */
export interface Link {
  /** Wants a lane to the shard, which the other node has opened, or will have, with that epoch; until drop(). */
  open(shardId: number, epoch: number): void;
  drop(shardId: number): void;
  call(method: string, args: readonly unknown[], timeoutMs?: number): Promise<unknown>;
  status(): LinkStatus;
  close(): Promise<void>;
}

/** What a link tells. */
export interface LinkEvents {
  /** The lane is up, or (undefined) down. */
  readonly onLane: (shardId: number, way: ShardWay | undefined) => void;
  readonly onPush: (event: string, payload: unknown) => void;
  readonly onUp: () => void;
  readonly onDown: () => void;
}

export interface NodeLinksOptions {
  readonly nodeId: number;
  readonly connect: (entry: ClusterNodeEntry, events: LinkEvents) => Link;
  readonly onLane: (nodeId: number, shardId: number, way: ShardWay | undefined) => void;
  readonly onPush: (nodeId: number, event: string, payload: unknown) => void;
  readonly onUp: (nodeId: number) => void;
  readonly onDown: (nodeId: number) => void;
}

interface LinkedNode {
  readonly entry: ClusterNodeEntry;
  readonly link: Link;
  /** Lanes that are wanted: epoch by shard. */
  readonly lanes: Map<number, number>;
  /** What it has said itself: the last epoch by shard, whether or not a lane is wanted yet. */
  readonly announced: Map<number, number>;
  /** It was replaced: what it still tells is old. */
  ended: boolean;
  isUp: boolean;
}

/**
 * The links to the other nodes of the map, one for each run of each of them, and the lanes that are wanted of them. Main thread.
 */
export class NodeLinks {
  readonly #options: NodeLinksOptions;
  readonly #nodes: Map<number, LinkedNode> = new Map();
  readonly #ending: Set<Promise<void>> = new Set();

  constructor(options: NodeLinksOptions) {
    this.#options = options;
  }

  /** Lanes to shards that others have come up by themselves; those to shards that they have no longer go down. */
  follow(map: ClusterMap): void {
    const wanted = new Map<number, Map<number, number>>();
    for (const { shardId, nodeId, epoch, failed } of map.shards) {
      if (nodeId === null || failed !== undefined) continue;
      const lanes = wanted.get(nodeId) ?? new Map<number, number>();
      wanted.set(nodeId, lanes.set(shardId, epoch));
    }
    const others = new Map<number, ClusterNodeEntry>();
    for (const entry of map.nodes) {
      if (entry.nodeId !== this.#options.nodeId && entry.state !== "down") others.set(entry.nodeId, entry);
    }
    for (const [nodeId, linked] of [...this.#nodes]) {
      const entry = others.get(nodeId);
      if (entry === undefined || !isSame(entry, linked.entry)) this.#end(linked);
    }
    for (const [nodeId, entry] of others) {
      this.#want(this.#nodes.get(nodeId) ?? this.#connect(entry), wanted.get(nodeId));
    }
  }

  /**
   * A node says with which epochs it has shards open: it may have opened some anew since the map was made, also since
   * maps that come later. Those that this node wants of it, now or then, are wanted with that epoch.
   */
  learn(nodeId: number, shards: Iterable<readonly [shardId: number, epoch: number]>): void {
    const linked = this.#nodes.get(nodeId);
    if (linked === undefined) return;
    for (const [shardId, epoch] of shards) {
      linked.announced.set(shardId, Math.max(epoch, linked.announced.get(shardId) ?? 0));
      if ((linked.lanes.get(shardId) ?? Number.POSITIVE_INFINITY) < epoch) this.#open(linked, shardId, epoch);
    }
  }

  /** With which epoch a lane to the shard is wanted of that node; undefined = none is. */
  epochOf(nodeId: number, shardId: number): number | undefined {
    return this.#nodes.get(nodeId)?.lanes.get(shardId);
  }

  isUp(nodeId: number): boolean {
    return this.#nodes.get(nodeId)?.isUp === true;
  }

  /** Rejects with what the other node refused; with SHARD_RESTARTED where it cannot be reached. */
  async call(nodeId: number, method: string, args: readonly unknown[], timeoutMs?: number): Promise<unknown> {
    const linked = this.#nodes.get(nodeId);
    if (linked === undefined) {
      throw new MillraceError("SHARD_RESTARTED", `node ${nodeId} is not there: request=${method}`, {
        details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
      });
    }
    return linked.link.call(method, args, timeoutMs);
  }

  statuses(): LinkStatus[] {
    return [...this.#nodes.values()].map(({ link }) => link.status());
  }

  async close(): Promise<void> {
    for (const linked of [...this.#nodes.values()]) this.#end(linked);
    await Promise.all(this.#ending);
  }

  #want(linked: LinkedNode, wanted: ReadonlyMap<number, number> = new Map()): void {
    const { lanes, announced } = linked;
    for (const shardId of [...lanes.keys()]) {
      if (!wanted.has(shardId)) this.#drop(linked, shardId);
    }
    for (const [shardId, mapped] of wanted) {
      // What the node has said itself may be newer than the map.
      const epoch = Math.max(mapped, announced.get(shardId) ?? 0);
      if ((lanes.get(shardId) ?? -1) < epoch) this.#open(linked, shardId, epoch);
    }
  }

  #open(linked: LinkedNode, shardId: number, epoch: number): void {
    if (linked.lanes.has(shardId)) this.#drop(linked, shardId);
    linked.lanes.set(shardId, epoch);
    linked.link.open(shardId, epoch);
  }

  #drop(linked: LinkedNode, shardId: number): void {
    linked.lanes.delete(shardId);
    linked.link.drop(shardId);
    // Whether or not the link says so: nothing goes that way any more.
    this.#options.onLane(linked.entry.nodeId, shardId, undefined);
  }

  #connect(entry: ClusterNodeEntry): LinkedNode {
    const { connect, onLane, onPush, onUp, onDown } = this.#options;
    const { nodeId } = entry;
    const hears = (tell: () => void): void => {
      if (!linked.ended) tell();
    };
    const link = connect(entry, {
      onLane: (shardId, way) =>
        hears(() => {
          // It may have come up while it was being dropped.
          if (way === undefined || linked.lanes.has(shardId)) onLane(nodeId, shardId, way);
        }),
      onPush: (event, payload) => hears(() => onPush(nodeId, event, payload)),
      onUp: () =>
        hears(() => {
          linked.isUp = true;
          onUp(nodeId);
        }),
      onDown: () =>
        hears(() => {
          linked.isUp = false;
          onDown(nodeId);
        }),
    });
    const linked: LinkedNode = {
      entry,
      link,
      lanes: new Map(),
      announced: new Map(),
      ended: false,
      isUp: false,
    };
    this.#nodes.set(nodeId, linked);
    return linked;
  }

  #end(linked: LinkedNode): void {
    const { entry, link, lanes, isUp } = linked;
    linked.ended = true;
    this.#nodes.delete(entry.nodeId);
    for (const shardId of lanes.keys()) this.#options.onLane(entry.nodeId, shardId, undefined);
    if (isUp) this.#options.onDown(entry.nodeId);
    const ended = link.close().catch(() => {});
    this.#ending.add(ended);
    void ended.then(() => this.#ending.delete(ended));
  }
}

/** Whether it is the same process, at the same place. */
function isSame(one: ClusterNodeEntry, other: ClusterNodeEntry): boolean {
  return one.run === other.run && JSON.stringify(one.peer) === JSON.stringify(other.peer);
}
