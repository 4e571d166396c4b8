import type { BrokerNode } from "@millrace/broker/internal";
import { type CommandContext, runCommandLine } from "@millrace/cli";
import { connect } from "@millrace/client";
import {
  type BrokerOptions,
  createBrokerOf,
  createClusterOf,
  listenWithUws,
  SYSTEM_CLOCK,
} from "@millrace/gateway/internal";

type NodeOptions = Parameters<typeof BrokerNode.open>[0];

/**
 * Runs the `millrace` command of this process's arguments, whose `serve` opens its node in its own way. `nodeEntry`: the program of
 * a cluster's nodes, where there may be one.
 */
export async function runCommandWithNode(
  open: (options: NodeOptions) => Promise<BrokerNode>,
  nodeEntry?: URL,
): Promise<void> {
  const context: CommandContext = {
    stdin: process.stdin,
    stdinBytes: () => undefined,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: SYSTEM_CLOCK,
    env: process.env,
    signals: process,
    connect,
    loadBroker: async () => (options) =>
      createBrokerOf(
        {
          openNode: (brokerOptions, logger) => open({ ...nodeOptions(brokerOptions), logger }),
          listen: listenWithUws,
          clock: SYSTEM_CLOCK,
        },
        options,
      ),
    async loadCluster() {
      if (nodeEntry === undefined) throw new Error("this node is opened in one process");
      return (options) => createClusterOf(nodeEntry, options);
    },
    cores: 1,
  };
  process.exitCode = await runCommandLine(process.argv.slice(2), context);
}

function nodeOptions({ dataDir, shards, shardThreads }: BrokerOptions): Omit<NodeOptions, "logger"> {
  return {
    dataDir,
    ...(shards === undefined ? {} : { shards }),
    ...(shardThreads === undefined ? {} : { shardThreads }),
  };
}
