import { connect } from "@millrace/client";
import type { LoadTask } from "@millrace/load";
import { type Spread, spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import { type Cluster, type ClusterContext, nodeProcess, withCluster } from "./cluster-context.ts";
import { publishOnce, publishTask } from "./publish-tasks.ts";

/** One node on two cores may have the machine to itself. */
const TARGET = 0.85;

export const scalingRow: BenchRow<ClusterContext> = {
  name: "nodes-over-one",
  description:
    "records/s of several nodes together, each with a producer on it, over one node with as many producers",
  target: TARGET,
  sense: "at-least",
  run: (context) => runScaling(context),
};

async function runScaling(context: ClusterContext): Promise<RowOutcome> {
  const { nodes, plan } = context;
  const one: number[] = [];
  const many: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const sizes = [
      { count: 1, into: one },
      { count: nodes, into: many },
    ];
    for (const { count, into } of round % 2 === 0 ? sizes : sizes.reverse()) {
      const size = { nodes: count, shards: nodes };
      context.progress.say(`${count} of ${nodes} nodes: sample ${round + 1} of ${plan.rounds}`);
      into.push(await withCluster(context, `scaling-${count}`, size, (cluster) => rate(context, cluster)));
    }
  }
  const spreads = { one: spreadOf(one), many: spreadOf(many) };
  return {
    ratio: spreads.many.median / spreads.one.median,
    counts: true,
    raw: { nodes, ...spreads },
    details: [line("one node", spreads.one), line(`${nodes} nodes`, spreads.many)],
  };
}

function line(name: string, spread: Spread): string {
  return `${name}: ${formatSpread(spread, 0, "records/s")}`;
}

/** A producer for each shard, whose client finds the shard's owner. */
async function rate(context: ClusterContext, cluster: Cluster): Promise<number> {
  const tasks: LoadTask[] = [];
  const admin = await connect(cluster.url);
  for (let shard = 0; shard < context.nodes; shard++) {
    const topic = `bench-${shard}`;
    await admin.topics.create(topic, { partitions: 1, durability: "memory" });
    tasks.push(publishTask(cluster.url, topic, null, true));
  }
  await admin.close();
  const { nodes } = await cluster.whole();
  const processes = nodes.map(nodeProcess);
  return (await publishOnce(tasks, context.plan, processes)).recordsPerSecond;
}
