/** `pnpm bench:cluster`: what several nodes cost, and how long they take to do without one. See bench/README.md. */
import { availableParallelism } from "node:os";
import type { BenchRow } from "../harness/bench-row.ts";
import { runBench } from "../harness/bench-run.ts";
import { parseBenchOptions } from "../harness/options.ts";
import type { SamplingPlan } from "../harness/sampling.ts";
import type { ClusterContext } from "./cluster-context.ts";
import { failOverRow } from "./fail-over-row.ts";
import { forwardRow, hopRow } from "./forward-rows.ts";
import { scalingRow } from "./scaling-row.ts";

const ROWS: readonly BenchRow<ClusterContext>[] = [forwardRow, hopRow, failOverRow, scalingRow];

/** Nodes are new in each sample, or idle before it: it takes seconds of load until all of their code is compiled. */
const PLAN: SamplingPlan = { rounds: 5, warmUpMs: 0, settleMs: 8000, durationMs: 5000 };
const QUICK_PLAN: SamplingPlan = { rounds: 2, warmUpMs: 0, settleMs: 500, durationMs: 700 };
const KILLS = 50;
const QUICK_KILLS = 6;
/** As `serve` has them, but two at least. */
const NODES: number = Math.max(2, Math.floor(availableParallelism() / 4));

const options = parseBenchOptions("pnpm bench:cluster", process.argv.slice(2), {
  quick: "short samples and few kills, for a first look",
  duration: "length of each sample (default 5; 0.7 with --quick)",
  rounds: "samples per subject (default 5; 2 with --quick)",
  nodes: `of nodes-over-one (default ${NODES}: one for every four cores, two at least)`,
});
const base = options.quick ? QUICK_PLAN : PLAN;
const plan: SamplingPlan = {
  ...base,
  durationMs: options.durationMs ?? base.durationMs,
  rounds: options.rounds ?? base.rounds,
};

await runBench<ClusterContext>({
  options,
  rows: ROWS,
  plan,
  method: `medians of ${plan.rounds} samples of ${plan.durationMs / 1000} s`,
  open: (run) => ({ ...run, nodes: options.nodes ?? NODES, kills: options.quick ? QUICK_KILLS : KILLS }),
});
