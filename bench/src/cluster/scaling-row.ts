import { connect } from "@millrace/client";
import type { LoadTask, Repetition } from "@millrace/load";
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
  const one: Repetition[] = [];
  const many: Repetition[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const sizes = [
      { count: 1, into: one },
      { count: nodes, into: many },
    ];
    for (const { count, into } of round % 2 === 0 ? sizes : sizes.reverse()) {
      const size = { nodes: count, shards: nodes };
      context.progress.say(`${count} of ${nodes} nodes: sample ${round + 1} of ${plan.rounds}`);
      into.push(
        await withCluster(context, `scaling-${count}`, size, (cluster) =>
          publishEverywhere(context, cluster),
        ),
      );
    }
  }
  const rates = { one: ratesOf(one), many: ratesOf(many) };
  const costs = { one: costsOf(one), many: costsOf(many) };
  return {
    ratio: rates.many.median / rates.one.median,
    counts: true,
    raw: { nodes, rates, costs },
    details: [line("one node", rates.one, costs.one), line(`${nodes} nodes`, rates.many, costs.many)],
  };
}

function ratesOf(samples: readonly Repetition[]): Spread {
  return spreadOf(samples.map(({ recordsPerSecond }) => recordsPerSecond));
}

function costsOf(samples: readonly Repetition[]): Spread {
  return spreadOf(samples.map(({ brokerCpuSecondsPerMillion }) => brokerCpuSecondsPerMillion));
}

function line(name: string, rates: Spread, costs: Spread): string {
  return `${name}: ${formatSpread(rates, 1e6, "M records/s")}, ${formatSpread(costs, 1, "us of all nodes a record")}`;
}

/** A producer for each shard, whose client finds the shard's owner. */
async function publishEverywhere(context: ClusterContext, cluster: Cluster): Promise<Repetition> {
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
  return await publishOnce(tasks, context.plan, processes);
}
