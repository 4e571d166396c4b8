import { connect } from "@millrace/client";
import { monotonicMs } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { type Cluster, type ClusterContext, withCluster } from "./cluster-context.ts";
import type { SurvivorCommands } from "./generators/survivor.ts";

const TARGET_MS = 1_000;
const SIZE = { nodes: 3, shards: 3 };
const TOPIC = "bench";
const TIMEOUT_MS = 20_000;

interface FailOver {
  readonly nodeId: number;
  /** From the kill to the first acknowledgement of the partition that took longest. */
  readonly ms: number;
  readonly errors: readonly string[];
  readonly reconnects: number;
}

export const failOverRow: BenchRow<ClusterContext> = {
  name: "fail-over",
  description: "kill -9 of a node until its shards' new owners acknowledge, p99 of all kills, over 1 s",
  target: 1,
  sense: "at-most",
  run: (context) => withCluster(context, "fail-over", SIZE, (cluster) => runFailOver(context, cluster)),
};

async function runFailOver(context: ClusterContext, cluster: Cluster): Promise<RowOutcome> {
  const { children, kills, progress } = context;
  const admin = await connect(cluster.url);
  await admin.topics.create(TOPIC, { partitions: SIZE.shards });
  await admin.close();
  const survivor = await children.fork<SurvivorCommands>(
    new URL("./generators/survivor.js", import.meta.url),
  );
  const all: FailOver[] = [];
  try {
    for (let kill = 0; kill < kills; kill++) {
      progress.say(`kill ${kill + 1} of ${kills}`);
      const { nodes } = await cluster.whole();
      const victim = nodes[kill % nodes.length];
      const other = nodes[(kill + 1) % nodes.length];
      if (victim === undefined || other === undefined) throw new Error("there are too few nodes");
      await survivor.call("open", { url: other.url, topic: TOPIC, partitions: SIZE.shards });
      await survivor.call("begin", null);
      await survivor.call("recovered", { timeoutMs: TIMEOUT_MS });
      await survivor.call("begin", null);
      const killedMs = monotonicMs();
      process.kill(victim.pid, "SIGKILL");
      const { ackedMs, errors, reconnects } = await survivor.call("recovered", { timeoutMs: TIMEOUT_MS });
      all.push({ nodeId: victim.nodeId, ms: Math.max(...ackedMs) - killedMs, errors, reconnects });
      await survivor.call("close", null);
    }
  } finally {
    await children.end(survivor.pid);
  }
  const sorted = all.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] as number;
  const errors = all.flatMap((one) => one.errors);
  const reconnected = all.reduce((sum, one) => sum + one.reconnects, 0);
  return {
    ratio: errors.length > 0 ? null : at(0.99) / TARGET_MS,
    counts: true,
    raw: { unit: "ms", kills: all },
    details: [
      `${all.length} kills: p50 ${at(0.5).toFixed(0)} ms, p90 ${at(0.9).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, longest ${at(1).toFixed(0)} ms`,
      errors.length === 0
        ? `the application on another node was told of no error; its client made a new connection ${reconnected} times`
        : `the application on another node was told: ${[...new Set(errors)].join("; ")} (${errors.length} times)`,
    ],
  };
}
