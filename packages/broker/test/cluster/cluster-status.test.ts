import t from "tap";
import type { ClusterMap } from "../../src/cluster/cluster-map.ts";
import { askNodes } from "../../src/cluster/cluster-status.ts";
import { consumersAt } from "../../src/cluster/consumers-elsewhere.ts";
import type { NodeAnswer, ShardReport } from "../../src/node/cluster-status.ts";
import { NodeReporter, shardReport } from "../../src/node/node-report.ts";

function answer(nodeId: number, shards: ShardReport[]): NodeAnswer {
  const reporter = new NodeReporter(nodeId, 7);
  t.teardown(() => reporter.stop());
  const node = reporter.report({
    isDraining: nodeId === 2,
    ready: true,
    conditions: [],
    url: `ws://${nodeId}`,
    load: { sessions: 3 },
    links: [],
  });
  return { node, shards };
}

function entry(nodeId: number, state: "up" | "down"): ClusterMap["nodes"][number] {
  return { nodeId, run: 1, pid: 1, peer: { path: "x" }, url: "", state };
}

t.test("each node answers for itself; who does not is named, and its shards are the map's", async (t) => {
  const map: ClusterMap = {
    version: 1,
    nodes: [entry(3, "down"), entry(2, "up"), entry(1, "up"), entry(0, "up")],
    shards: [
      { shardId: 0, nodeId: 0, epoch: 5 },
      { shardId: 1, nodeId: 1, epoch: 6 },
      { shardId: 2, nodeId: null, epoch: 4 },
      { shardId: 3, nodeId: 0, epoch: 2, failed: "JOURNAL_FAILED: EIO" },
    ],
  };
  const { nodes, shards } = await askNodes({
    nodeId: 0,
    map,
    own: async () => answer(0, [{ shardId: 0, nodeId: 0, state: "up", epoch: 5 }]),
    ask: async (nodeId) => {
      if (nodeId === 1) throw new Error("no link");
      // It was deposed, and does not know yet.
      return answer(2, [{ shardId: 0, nodeId: 2, state: "up", epoch: 4 }]);
    },
  });
  t.match(nodes, [
    { nodeId: 0, state: "up", pid: process.pid, run: 7, sessions: 3, rssBytes: Number, uptimeMs: Number },
    { nodeId: 1, state: "up", unreached: "no link" },
    { nodeId: 2, state: "draining", url: "ws://2", eventLoopDelayMs: { p50: Number, p99: Number } },
    { nodeId: 3, state: "down", unreached: "the node does not run" },
  ]);
  t.same(
    shards.map(({ shardId, nodeId, state, epoch }) => [shardId, nodeId, state, epoch]),
    [
      [0, 0, "up", 5],
      [1, 1, "unreached", 6],
      [2, null, "down", 4],
      [3, 0, "failed", 2],
    ],
  );
});

t.test("a node without a map knows itself", async (t) => {
  const own = async (): Promise<NodeAnswer> => answer(0, [shardReport(0, 1, undefined, {})]);
  const { nodes, shards } = await askNodes({ nodeId: 0, map: undefined, own, ask: () => Promise.reject() });
  t.match(nodes, [{ nodeId: 0 }]);
  t.same(shards, [{ shardId: 1, nodeId: 0, state: "down", epoch: 0 }]);
  t.match(shardReport(0, 1, undefined, { failed: "EIO" }), { state: "failed", failed: "EIO" });
});

t.test("consumers of all nodes that answer are counted together", async (t) => {
  const consumers = await consumersAt([1, 2, 3], async (nodeId) => {
    if (nodeId === 2) throw new Error("no link");
    return { count: nodeId, holders: [[nodeId, `client of ${nodeId}`]] };
  });
  t.same(consumers, {
    count: 4,
    holders: [
      [1, "client of 1"],
      [3, "client of 3"],
    ],
  });
});
