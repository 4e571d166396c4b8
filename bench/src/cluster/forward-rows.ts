import type { Repetition } from "@millrace/load";
import { spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import {
  type Cluster,
  type ClusterContext,
  nodeProcess,
  type SeenNode,
  withCluster,
} from "./cluster-context.ts";
import { publishOnce, publishTask } from "./publish-tasks.ts";

const HOP_TARGET_MS = 0.15;
/** Few enough that each record is alone on its way. */
const HOP_RECORDS_PER_SECOND = 500;
/** One shard: all that comes to the other node is forwarded. */
const SIZE = { nodes: 2, shards: 1 };

export const forwardRow: BenchRow<ClusterContext> = {
  name: "forwarded-publish",
  description: "a producer on the node without the shard over one on its owner, batches of 16 KiB",
  target: 0.5,
  sense: "at-least",
  run: (context) => withCluster(context, "forward", SIZE, (cluster) => runForward(context, cluster)),
};

export const hopRow: BenchRow<ClusterContext> = {
  name: "hop",
  description: "what one more hop adds to the p50 of a publish at 500 records/s, over 0.15 ms",
  target: 1,
  sense: "at-most",
  run: (context) => withCluster(context, "hop", SIZE, (cluster) => runHop(context, cluster)),
};

interface Ends {
  readonly owner: SeenNode;
  readonly other: SeenNode;
}

async function endsOf(cluster: Cluster): Promise<Ends> {
  const { nodes, shards } = await cluster.whole();
  const owner = nodes.find(({ nodeId }) => nodeId === shards[0]?.nodeId);
  const other = nodes.find(({ nodeId }) => nodeId !== shards[0]?.nodeId);
  if (owner === undefined || other === undefined) throw new Error("both nodes are needed");
  return { owner, other };
}

/** Both ways in turn, in the opposite order every other round. */
async function bothWays(
  context: ClusterContext,
  cluster: Cluster,
  recordsPerSecond: number | null,
): Promise<{ direct: Repetition[]; forwarded: Repetition[] }> {
  const { plan, progress } = context;
  const { owner, other } = await endsOf(cluster);
  const processes = [nodeProcess(owner), nodeProcess(other)];
  const direct: Repetition[] = [];
  const forwarded: Repetition[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const ways = [
      { name: "direct", node: owner, into: direct },
      { name: "forwarded", node: other, into: forwarded },
    ];
    for (const { name, node, into } of round % 2 === 0 ? ways : ways.reverse()) {
      progress.say(`${name}: sample ${round + 1} of ${plan.rounds}`);
      into.push(
        await publishOnce([publishTask(node.url, "bench", recordsPerSecond, false)], plan, processes),
      );
    }
  }
  return { direct, forwarded };
}

async function runForward(context: ClusterContext, cluster: Cluster): Promise<RowOutcome> {
  const { direct, forwarded } = await bothWays(context, cluster, null);
  const rates = [direct, forwarded].map((all) => spreadOf(all.map((one) => one.recordsPerSecond)));
  const costs = [direct, forwarded].map((all) => spreadOf(all.map((one) => one.brokerCpuSecondsPerMillion)));
  const [directRate, forwardedRate] = rates as [(typeof rates)[0], (typeof rates)[0]];
  const [directCost, forwardedCost] = costs as [(typeof costs)[0], (typeof costs)[0]];
  return {
    ratio: forwardedRate.median / directRate.median,
    counts: true,
    raw: { directRate, forwardedRate, directCost, forwardedCost },
    details: [
      `direct ${formatSpread(directRate, 1e6, "M records/s")}, ${formatSpread(directCost, 1, "us of both nodes a record")}`,
      `forwarded ${formatSpread(forwardedRate, 1e6, "M records/s")}, ${formatSpread(forwardedCost, 1, "us of both nodes a record")}`,
    ],
  };
}

async function runHop(context: ClusterContext, cluster: Cluster): Promise<RowOutcome> {
  const { direct, forwarded } = await bothWays(context, cluster, HOP_RECORDS_PER_SECOND);
  const directMs = spreadOf(direct.map(({ ackLatency }) => ackLatency?.p50 ?? Number.NaN));
  const forwardedMs = spreadOf(forwarded.map(({ ackLatency }) => ackLatency?.p50 ?? Number.NaN));
  const hopMs = forwardedMs.median - directMs.median;
  return {
    ratio: hopMs / HOP_TARGET_MS,
    counts: true,
    raw: { directMs, forwardedMs, hopMs },
    details: [
      `until acknowledged, p50: direct ${formatSpread(directMs, 1, "ms")}, forwarded ${formatSpread(forwardedMs, 1, "ms")}`,
    ],
  };
}
