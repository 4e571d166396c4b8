import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { delay, type MeasuredProcess, monotonicMs, plainProcess } from "@millrace/load/internal";
import type { RunContext } from "../harness/bench-row.ts";
import { BrokerProcess } from "../harness/broker-process.ts";

/** What every row of the suite works with. */
export interface ClusterContext extends RunContext {
  /** Nodes of the row that compares many with one, as the owner of a large machine asks for. */
  readonly nodes: number;
  /** Kills of the row about fail-over. */
  readonly kills: number;
}

/** A node as `GET /v1/status` shows it. */
export interface SeenNode {
  readonly nodeId: number;
  readonly pid: number;
  /** Its own client port. */
  readonly url: string;
}

/** For CPU accounting. */
export function nodeProcess({ nodeId, pid }: SeenNode): MeasuredProcess {
  return plainProcess("broker", { pid, label: `node ${nodeId}` });
}

export interface SeenShard {
  readonly shardId: number;
  readonly nodeId: number | null;
  readonly state: string;
  readonly epoch: number;
  /** End of its journal. */
  readonly stagedPosition?: number;
}

export interface SeenCluster {
  readonly nodes: readonly SeenNode[];
  readonly shards: readonly SeenShard[];
}

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/** A running `millrace serve --nodes`. */
export class Cluster {
  readonly url: string;
  readonly #nodes: number;

  constructor(url: string, nodes: number) {
    this.url = url;
    this.#nodes = nodes;
  }

  /** As any node sees it; undefined while none answers. */
  async look(): Promise<SeenCluster | undefined> {
    try {
      const answer = await fetch(`${this.url.replace(/^ws/, "http")}/v1/status`);
      if (!answer.ok) return undefined;
      const status = (await answer.json()) as SeenCluster;
      return { ...status, nodes: status.nodes.filter(({ url }) => typeof url === "string") };
    } catch {
      return undefined;
    }
  }

  /** Waits until all nodes run and every shard has an owner. @throws Error after a minute */
  async whole(): Promise<SeenCluster> {
    const untilMs = monotonicMs() + READY_TIMEOUT_MS;
    for (;;) {
      const seen = await this.look();
      const isWhole =
        seen !== undefined &&
        seen.nodes.length === this.#nodes &&
        seen.shards.every(({ state }) => state === "up");
      if (isWhole && isEven(seen)) return seen;
      if (monotonicMs() > untilMs) throw new Error(`the cluster is not whole: ${JSON.stringify(seen)}`);
      await delay(POLL_MS);
    }
  }
}

/** No node has two shards more than another: nothing is about to be moved. */
function isEven({ nodes, shards }: SeenCluster): boolean {
  const counts = nodes.map(({ nodeId }) => shards.filter((shard) => shard.nodeId === nodeId).length);
  return Math.max(...counts) - Math.min(...counts) <= 1;
}

/** Runs `use` with a fresh cluster, and ends it and removes its data afterwards. */
export async function withCluster<T>(
  context: ClusterContext,
  name: string,
  size: { readonly nodes: number; readonly shards: number },
  use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const folder = join(context.folder, name);
  mkdirSync(folder, { recursive: true });
  let broker: BrokerProcess | undefined;
  try {
    context.progress.say(`starting ${size.nodes} nodes`);
    const options = ["--nodes", String(size.nodes), "--shards", String(size.shards)];
    broker = await BrokerProcess.start(context.children, folder, options);
    const cluster = new Cluster(broker.url, size.nodes);
    await cluster.whole();
    return await use(cluster);
  } catch (error) {
    throw broker?.explain(error) ?? error;
  } finally {
    // SIGTERM to the supervisor ends its nodes as well.
    if (broker !== undefined) await context.children.end(broker.pid);
    rmSync(folder, { recursive: true, force: true });
  }
}
