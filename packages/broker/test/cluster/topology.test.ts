import t from "tap";
import { defaultTopology } from "../../src/cluster/topology.ts";

t.test("a node for every four cores, a shard thread for each core left", async (t) => {
  for (const [cores, nodes, shardThreads] of [
    [1, 1, 1],
    [2, 1, 1],
    [4, 1, 3],
    [7, 1, 6],
    [8, 2, 6],
    [16, 4, 12],
    [64, 16, 48],
    [128, 32, 96],
    [1024, 127, 897],
  ] as const) {
    t.match(defaultTopology(cores), { nodes, shardThreads }, `${cores} cores`);
  }
});

t.test("it says why", async (t) => {
  t.equal(
    defaultTopology(16).reason,
    "4 nodes and 12 shard threads for 16 cores: a node for every 4 cores, a shard thread for each core left, one of both at least",
  );
  t.match(defaultTopology(1).reason, "1 node and 1 shard thread for 1 core: ");
});
