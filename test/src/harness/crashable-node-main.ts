// Process entry: the program of a cluster's node, which lets its shard threads die at each SIGUSR2.
import { join } from "node:path";
import { ClusterNode } from "@millrace/broker/internal";
import { REPOSITORY } from "./repository.ts";

const NODE_MAIN = join(REPOSITORY, "packages", "gateway", "dist", "src", "cluster-node-main.js");

const open = ClusterNode.open;
let opened: ClusterNode | undefined;

// The program opens its node by this name, and gives it to nobody.
ClusterNode.open = async (options) => {
  opened = await open.call(ClusterNode, options);
  return opened;
};

process.on("SIGUSR2", () => {
  if (opened === undefined) return;
  // Those of the shards that are elsewhere are not its own.
  for (let shardId = 0; shardId < opened.shardCount; shardId += 1) void opened.crashShardThread(shardId);
});

await import(NODE_MAIN);
