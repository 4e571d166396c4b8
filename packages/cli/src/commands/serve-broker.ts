import type { Broker, BrokerOptions } from "@millrace/gateway";
import type { Cluster, ClusterOptions } from "@millrace/gateway/internal";
import type { CommandContext } from "../command-context.ts";
import { brokerSettings } from "../config/broker-settings.ts";
import type { Settings } from "../config/settings.ts";
import type { BrokerLog } from "../output/broker-log.ts";

/** `createBroker` of @millrace/gateway, as far as `serve` goes. */
export type CreateBroker = (options: BrokerOptions) => Promise<Pick<Broker, "url" | "close">>;

/** `createCluster` of @millrace/gateway. */
export type CreateCluster = (
  options: ClusterOptions,
) => Promise<Pick<Cluster, "url" | "close" | "restart" | "ended">>;

/** What runs, in this process or in several. */
export interface ServedBroker {
  readonly url: string;
  close(): Promise<void>;
  /** Resolves with the reason when it ends by itself. */
  readonly ended: Promise<Error | undefined>;
  /** Takes the settings as they are by now; undefined: a process of its own has to be restarted for that. */
  readonly reload: (() => Promise<void>) | undefined;
}

/** How many processes and threads there are, and why. */
export interface ServedTopology {
  /** 0: one process, without a supervisor. */
  readonly nodes: number;
  readonly nodeThreads: number;
  readonly reason: string;
}

const NEVER: Promise<undefined> = new Promise(() => {});

/**
 * Starts what the settings ask for: one process without a supervisor where neither they nor the machine want more. The signal
 * breaks off the start of a cluster, which may take long; that of one process is soon over.
 */
export async function serveBroker(
  context: CommandContext,
  settings: Settings,
  logger: BrokerLog,
  load: () => Settings,
  signal: AbortSignal,
): Promise<{ readonly broker: ServedBroker; readonly topology: ServedTopology }> {
  try {
    const topology = await topologyOf(context, settings);
    if (topology.nodes > 0)
      return { broker: await startCluster(context, settings, topology, logger, load, signal), topology };
    const createBroker = await context.loadBroker();
    const broker = await createBroker({ ...brokerSettings(settings), logger });
    const { url } = broker;
    return { broker: { url, close: () => broker.close(), ended: NEVER, reload: undefined }, topology };
  } catch (error) {
    // For whoever reads the log by machine; for people the command's own last line is enough.
    if (settings.logFormat === "json" && !signal.aborted) logger.log("error", "start-failed", { error });
    throw error;
  }
}

async function topologyOf(
  { cores }: CommandContext,
  { nodes, nodeThreads, threads }: Settings,
): Promise<ServedTopology> {
  if (nodes !== undefined) {
    const own = nodeThreads ?? threadsOfNode(cores - nodes, nodes);
    return { nodes, nodeThreads: own, reason: textOf(nodes, own, "as configured") };
  }
  // Who says how many threads one process has wants one process.
  if (threads !== undefined) {
    const reason = `one process with ${counted(threads, "shard thread")}: as configured`;
    return { nodes: 0, nodeThreads: threads, reason };
  }
  const { defaultTopology } = await import("@millrace/broker/internal");
  const machine = defaultTopology(cores);
  if (machine.nodes === 1) {
    return { nodes: 0, nodeThreads: machine.shardThreads, reason: `one process: ${machine.reason}` };
  }
  const own = nodeThreads ?? threadsOfNode(machine.shardThreads, machine.nodes);
  return { nodes: machine.nodes, nodeThreads: own, reason: machine.reason };
}

function threadsOfNode(shardThreads: number, nodes: number): number {
  return Math.max(1, Math.floor(shardThreads / nodes));
}

function counted(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

function textOf(nodes: number, nodeThreads: number, why: string): string {
  return `${counted(nodes, "node")} with ${counted(nodeThreads, "shard thread")} each: ${why}`;
}

async function startCluster(
  context: CommandContext,
  settings: Settings,
  topology: ServedTopology,
  logger: BrokerLog,
  load: () => Settings,
  signal: AbortSignal,
): Promise<ServedBroker> {
  const createCluster = await context.loadCluster();
  const { nodes, nodeThreads } = topology;
  const cluster = await createCluster({
    ...brokerSettings(settings),
    nodes,
    nodeThreads,
    logger,
    signal,
    async reload() {
      const changed = load();
      // The number of nodes stays what it was when the supervisor was started.
      const own = (await topologyOf(context, { ...changed, nodes })).nodeThreads;
      return { ...brokerSettings(changed), nodeThreads: own };
    },
  });
  return {
    url: cluster.url,
    close: () => cluster.close(),
    ended: cluster.ended,
    reload: () => cluster.restart(),
  };
}
