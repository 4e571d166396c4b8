// Process entry: the `millrace` command, whose `serve` lets a shard thread die at each SIGUSR2, one after the other. With --nodes
// that is for the nodes to do.
import { BrokerNode } from "@millrace/broker/internal";
import { runCommandWithNode } from "./command-with-node.ts";

const NODE_ENTRY = new URL("./crashable-node-main.js", import.meta.url);

let opened: BrokerNode | undefined;
let crashes = 0;

process.on("SIGUSR2", () => {
  if (opened === undefined) return;
  void opened.crashShardThread(crashes % opened.shardCount);
  crashes += 1;
});

await runCommandWithNode(async (options) => {
  opened = await BrokerNode.open(options);
  return opened;
}, NODE_ENTRY);
