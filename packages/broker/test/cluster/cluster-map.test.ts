import t from "tap";
import { clusterMapOf } from "../../src/cluster/cluster-map.ts";

const NODE = {
  nodeId: 1,
  run: 7,
  pid: 8,
  peer: { path: "peer-1.sock" },
  url: "ws://127.0.0.1:1",
  state: "up",
};

t.test("a map is taken as it is", async (t) => {
  const map = {
    version: 3,
    nodes: [NODE, { ...NODE, nodeId: 2, peer: { host: "10.0.0.2", port: 7071 }, state: "down" }],
    shards: [
      { shardId: 0, nodeId: 1, epoch: 4 },
      { shardId: 1, nodeId: null, epoch: 0, failed: "EIO" },
      { shardId: 2, nodeId: null, epoch: 1, isRetried: true },
    ],
  };
  t.same(clusterMapOf(JSON.parse(JSON.stringify(map)), 3), map);
});

t.test("anything else is refused, and says what is wrong", async (t) => {
  const shard = { shardId: 0, nodeId: 1, epoch: 4 };
  const cases: [unknown, RegExp][] = [
    [undefined, /map must be an object/],
    [[], /map must be an object/],
    [{ version: -1, nodes: [], shards: [] }, /version/],
    [{ version: 1, nodes: {}, shards: [] }, /nodes/],
    [{ version: 1, nodes: [] }, /shards/],
    [{ version: 1, nodes: [{ ...NODE, nodeId: 127 }], shards: [] }, /0\.\.126/],
    [{ version: 1, nodes: [{ ...NODE, run: "x" }], shards: [] }, /run/],
    [{ version: 1, nodes: [{ ...NODE, peer: { path: "" } }], shards: [] }, /peer address of node 1/],
    [{ version: 1, nodes: [{ ...NODE, peer: { host: "a", port: 0 } }], shards: [] }, /peer address/],
    [{ version: 1, nodes: [{ ...NODE, state: "dead" }], shards: [] }, /state of node 1/],
    [{ version: 1, nodes: [NODE, NODE], shards: [] }, /a node twice/],
    [{ version: 1, nodes: [], shards: [{ ...shard, shardId: 2 }] }, /no such shard/],
    [{ version: 1, nodes: [], shards: [{ ...shard, nodeId: undefined }] }, /nodeId or null/],
    [{ version: 1, nodes: [], shards: [{ ...shard, epoch: 1.5 }] }, /epoch/],
    [{ version: 1, nodes: [], shards: [shard, shard] }, /shard 0 twice/],
  ];
  for (const [map, message] of cases) {
    t.throws(() => clusterMapOf(map, 2), { message }, JSON.stringify(map));
  }
});
