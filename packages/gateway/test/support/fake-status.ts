import type { ClusterStatus, NodeStatus } from "@millrace/broker/internal";

/** What a node without shards says of itself. */
export function fakeStatus(ready: boolean): NodeStatus {
  return {
    ready,
    clusterId: "fake",
    topics: 0,
    shards: [],
    failedShards: [],
    disk: { low: false, freeBytes: 0, totalBytes: 0 },
    retentionTotalBytes: 0,
  };
}

/** A cluster of one such node. */
export function fakeClusterStatus(ready: boolean): ClusterStatus {
  return {
    version: "fake",
    clusterId: "fake",
    nodeId: 0,
    timeMs: 0,
    supervisor: { pid: null, note: "none" },
    coordinator: 0,
    topics: 0,
    subscriptions: 0,
    disk: { low: false, freeBytes: 0, totalBytes: 0, retentionTotalBytes: 0 },
    nodes: [
      {
        nodeId: 0,
        state: "up",
        ready,
        conditions: [],
        pid: 1,
        run: 1,
        version: "fake",
        url: null,
        uptimeMs: 1,
        rssBytes: 1,
        heapUsedBytes: 1,
        eventLoopDelayMs: { p50: 0, p99: 0, max: 0 },
        sessions: 0,
        links: [],
      },
    ],
    shards: [],
  };
}
