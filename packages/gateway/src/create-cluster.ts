import { SILENT_LOGGER, Supervisor } from "@millrace/broker/internal";
import type { MillraceError } from "@millrace/protocol";
import { type BrokerOptions, checkBrokerOptions } from "./broker-options.ts";
import { urlHost } from "./origin-policy.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";

/** Options of `createCluster`; those of a broker of one process, but that threads are counted by the node. */
export interface ClusterOptions extends Omit<BrokerOptions, "shardThreads"> {
  /** Processes that serve, 1 to 127. */
  readonly nodes: number;
  /** Threads that run the shards of a node. */
  readonly nodeThreads: number;
  /** The options as they are by now, for a restart; default: as they were. It fails where they cannot be used. */
  readonly reload?: (() => Promise<ReloadedOptions>) | undefined;
  /** Breaks off the start, once nothing of the cluster runs any more. */
  readonly signal?: AbortSignal | undefined;
}

/** What a restart can change: what every node is told when it starts. */
export type ReloadedOptions = Omit<
  ClusterOptions,
  "dataDir" | "host" | "port" | "shards" | "nodes" | "logger" | "reload" | "signal"
>;

/** A broker of many processes, kept by a supervisor in this one. */
export interface Cluster {
  /** Where clients connect: whichever node takes the connection. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Resolves with the reason when no node can be kept alive; with undefined after close(). */
  readonly ended: Promise<MillraceError | undefined>;
  /** Restarts node by node, with the options as they are by now; clients see reconnects and no more. */
  restart(): Promise<void>;
  /** All nodes drain at once. */
  close(): Promise<void>;
}

/** What a node's process is told besides where it is to listen; JSON. */
export type GatewaySettings = Pick<
  ClusterOptions,
  "nodeThreads" | "retentionTotalBytes" | "allowOrigins" | "autoCreateTopics" | "tls"
>;

const NODE_ENTRY = new URL("./cluster-node-main.js", import.meta.url);

/**
 * Runs a supervisor in this process and nodes in processes of their own, all behind one port. Nodes that an earlier supervisor
 * of the data folder has left are adopted.
 * @throws MillraceError as createBroker does, and NODES_FAILED; SERVER_DRAINING when it was broken off
 */
export function createCluster(options: ClusterOptions): Promise<Cluster> {
  return createClusterOf(NODE_ENTRY, options);
}

/** createCluster with a program of the caller's choice in the nodes. */
export async function createClusterOf(nodeEntry: URL, options: ClusterOptions): Promise<Cluster> {
  const { dataDir, shards, nodes, logger = SILENT_LOGGER, tls, reload, signal } = options;
  const { host, port } = checkBrokerOptions(options, SYSTEM_CLOCK);
  const supervisor = await Supervisor.start({
    dataDir,
    host,
    port,
    nodes,
    shards,
    nodeEntry,
    settings: settingsOf(options),
    ...(reload && {
      async reload() {
        const changed = await reload();
        checkBrokerOptions({ ...changed, dataDir, host, port }, SYSTEM_CLOCK);
        return settingsOf(changed);
      },
    }),
    signal,
    logger,
  });
  return {
    url: `${tls === undefined ? "ws" : "wss"}://${urlHost(host)}:${supervisor.port}`,
    host,
    port: supervisor.port,
    ended: supervisor.ended,
    restart: () => supervisor.restart(),
    close: () => supervisor.close(),
  };
}

function settingsOf(options: ReloadedOptions): Record<string, unknown> & GatewaySettings {
  const { nodeThreads, retentionTotalBytes, allowOrigins, autoCreateTopics, tls } = options;
  return { nodeThreads, retentionTotalBytes, allowOrigins, autoCreateTopics, tls };
}
