import type { LinkStatus } from "../peer/link-status.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";

/** What `GET /v1/status` answers, and `millrace status` shows. A broker of one process is a cluster of one node. */
export interface ClusterStatus {
  /** Release of the node that answers. */
  readonly version: string;
  readonly clusterId: string;
  /** The node that answers, and has asked the others. */
  readonly nodeId: number;
  readonly timeMs: number;
  readonly supervisor: SupervisorReport;
  /** The node that has shard 0, and changes the catalog; null: none. */
  readonly coordinator: number | null;
  readonly topics: number;
  readonly subscriptions: number;
  readonly disk: DiskReport;
  readonly nodes: readonly (NodeReport | UnreachedNode)[];
  readonly shards: readonly ShardReport[];
}

export interface SupervisorReport {
  /** null: there is none. */
  readonly pid: number | null;
  /** What that means. */
  readonly note: string;
}

export interface DiskReport {
  /** So little is free that publishes are refused. */
  readonly low: boolean;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Bytes that all shards may store together; 0 = no bound. */
  readonly retentionTotalBytes: number;
}

/** A node as it sees itself. */
export interface NodeReport {
  readonly nodeId: number;
  readonly state: "up" | "draining";
  readonly ready: boolean;
  /** What keeps it from serving everything, for people. */
  readonly conditions: readonly string[];
  readonly pid: number;
  readonly run: number;
  readonly version: string;
  /** Its own client port; null: it has only the one that clients use anyway. */
  readonly url: string | null;
  readonly uptimeMs: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  /** How late timers of its main thread were, in the last ten seconds or so. */
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly sessions: number;
  /** To the other nodes. */
  readonly links: readonly LinkStatus[];
}

/** A node that did not say how it is. */
export interface UnreachedNode {
  readonly nodeId: number;
  /** As the map has it: `up` here is a node that cannot be reached from the one that answers. */
  readonly state: "up" | "draining" | "down";
  readonly unreached: string;
}

export interface ShardReport extends Partial<ShardStatus> {
  readonly shardId: number;
  /** Its owner; null while nobody has it open. */
  readonly nodeId: number | null;
  /** `unreached`: its owner did not answer for it. */
  readonly state: "up" | "down" | "failed" | "unreached";
  readonly epoch: number;
  /** Why it is out of service until an operator repairs it. */
  readonly failed?: string;
  /** How full its rings are, 0 to 1: what its own node's gateway has for it, and it for that gateway. */
  readonly inboundFill?: number;
  readonly outboundFill?: number;
}

/** What one node says to another one that was asked: see RPC `status`. */
export interface NodeAnswer {
  readonly node: NodeReport;
  /** Of the shards that it has open. */
  readonly shards: readonly ShardReport[];
}

/** What a gateway does at the moment. */
export interface GatewayLoad {
  readonly sessions: number;
}
