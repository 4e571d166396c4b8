import type { ClusterMap, NodePeerAddress } from "./cluster-map.ts";

/**
 * What a supervisor and a node say to each other: one JSON object a line, over the unix socket `node-<nodeId>.sock` in the
 * data folder, which its owner alone may open.
 *
 *     -> {"id":1,"method":"hello","params":{"protocol":1,"supervisorPid":4711}}
 *     <- {"id":1,"result":{…}}   or   {"id":1,"error":{"code":…,"message":…}}
 *     <- {"event":"ready","data":{}}
 *
 * Requests of one connection are carried out at the same time, so answers come in any order; those about one shard are carried
 * out one after the other. Whoever said hello last commands; the others may still ask for `status` and `ping`.
 */
export const NODE_CONTROL_PROTOCOL = 1;

/** Name of a node's control socket in the data folder. */
export function nodeSocketName(nodeId: number): string {
  return `node-${nodeId}.sock`;
}

/** Matches the names of all nodes' control sockets; the group is the nodeId. */
export const NODE_SOCKET_NAME: RegExp = /^node-(\d{1,3})\.sock$/;

/** Name of the socket in the data folder at which a node's peers link up. */
export function peerSocketName(nodeId: number): string {
  return `peer-${nodeId}.sock`;
}

/** A shard that a node has, or is about to have or no longer to have. */
export interface NodeShard {
  readonly shardId: number;
  /** 0 while it is being opened and this is not known. */
  readonly epoch: number;
  /** `opening` and `closing` end by themselves, also when whoever asked for them is gone; asking again joins in. */
  readonly state: "opening" | "open" | "closing";
}

export interface HelloResult {
  readonly nodeId: number;
  readonly run: number;
  readonly pid: number;
  /** Release of the broker. */
  readonly version: string;
  readonly protocol: number;
  readonly peer: NodePeerAddress;
  /** Its own client port. */
  readonly url: string;
  readonly shards: readonly NodeShard[];
  /** Of the newest map that it has; 0 = none. Whoever makes maps goes on behind it. */
  readonly mapVersion: number;
  readonly ready: boolean;
}

/** Requests of the control channel: parameters and result of each. */
export interface NodeRequests {
  /** From here on this connection commands. */
  hello: { params: { readonly protocol: number; readonly supervisorPid: number }; result: HelloResult };
  /** Says that the node lives, and its event loop with it. */
  ping: { params: Record<string, never>; result: Record<string, never> };
  /** Follows the map, unless it has a newer one. `version` is that of the map it follows then. */
  map: { params: { readonly map: ClusterMap }; result: { readonly version: number } };
  /**
   * Opens the shard, with all it takes to serve it; a shard that it has is answered at once. Waits for the coordinator's
   * catalog, however long that takes, unless it is told to close the shard. The caller sends the map that says so.
   * Fails with what the journal said, such as JOURNAL_QUARANTINED, JOURNAL_DAMAGED; with ABORTED when it was closed meanwhile;
   * with FENCED when somebody else has opened it meanwhile.
   */
  open: {
    params: { readonly shardId: number };
    result: { readonly epoch: number; readonly recoveryMs: number };
  };
  /** Commits and answers what it took, leaves a clean checkpoint, and has the shard no longer. One that it has not is answered at once. */
  close: { params: { readonly shardId: number }; result: Record<string, never> };
  /** For backups: a durable position behind everything that the shard had taken. Fails with SHARD_RESTARTED where it is not open. */
  commit: { params: { readonly shardId: number }; result: { readonly position: number } };
  /** A NodeReport. */
  status: { params: Record<string, never>; result: Readonly<Record<string, unknown>> };
  /** Answered at once. Sends its clients away, closes its shards, ends with code 0. */
  drain: { params: Record<string, never>; result: Record<string, never> };
}

export type NodeMethod = keyof NodeRequests;

/** What a node tells the one who commands, unasked. */
export interface NodeEventData {
  /** It serves: it has the map, the catalog and a way to every shard that has an owner. Said once; a hello says it as well. */
  ready: Record<string, never>;
  /** Its journal failed, or it was lost and could not be opened again: the code says why. The node has it no longer. */
  "shard-failed": { readonly shardId: number; readonly code: string; readonly message: string };
  /** Another owner has opened it: the node has it no longer. */
  "shard-fenced": { readonly shardId: number; readonly epoch: number };
  /** It ends, whoever told it to: it opens no shard any more, closes those that it has, and its process follows. */
  draining: Record<string, never>;
  /** The node ends, told to or not, and has closed it; it opens none any more. */
  "shard-drained": { readonly shardId: number };
  /** It was lost with its thread, and the node has opened it again by itself, with a later epoch. */
  "shard-reopened": { readonly shardId: number; readonly epoch: number };
  /** Somebody else has said hello: this connection commands no longer. */
  superseded: { readonly supervisorPid: number };
}

export type NodeEventName = keyof NodeEventData;

export interface NodeRequestLine {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Codes of the channel itself; a command fails with those of MillraceError besides. */
export type NodeControlErrorCode =
  /** Not a request; the connection is closed. */
  | "BAD_REQUEST"
  | "UNKNOWN_METHOD"
  | "UNSUPPORTED_VERSION"
  /** Somebody else commands, or nobody has said hello on this connection. */
  | "SUPERSEDED"
  | "TOO_MANY_CONNECTIONS"
  /** What was asked for was undone meanwhile. */
  | "ABORTED"
  /** Another owner has opened the shard. */
  | "FENCED"
  /** The node ends. */
  | "DRAINING"
  | "INTERNAL";

export interface NodeControlError {
  readonly code: string;
  readonly message: string;
}

export type NodeAnswerLine =
  | { readonly id: number | null; readonly error: NodeControlError }
  | { readonly id: number; readonly result: object }
  | { readonly event: NodeEventName; readonly data: object };
