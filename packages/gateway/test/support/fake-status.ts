import type { NodeStatus } from "@millrace/broker/internal";

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
