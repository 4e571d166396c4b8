/** `pnpm bench:subscriptions`: what subscriptions cost over the log that they read. See bench/README.md. */
import type { BenchRow } from "../harness/bench-row.ts";
import { runBench } from "../harness/bench-run.ts";
import { parseBenchOptions } from "../harness/options.ts";
import type { SamplingPlan } from "../harness/sampling.ts";
import type { LimitContext } from "../limits/limit-context.ts";
import { engineRows } from "./engine-rows.ts";
import { manyRows } from "./many-rows.ts";
import { rebalanceRow } from "./rebalance-row.ts";
import { throughputRows } from "./throughput-rows.ts";

const ROWS: readonly BenchRow<LimitContext>[] = [...throughputRows, rebalanceRow, ...manyRows, ...engineRows];

const PLAN: SamplingPlan = { rounds: 5, warmUpMs: 2000, settleMs: 500, durationMs: 3000 };
const QUICK_PLAN: SamplingPlan = { rounds: 3, warmUpMs: 500, settleMs: 200, durationMs: 700 };

const options = parseBenchOptions("pnpm bench:subscriptions", process.argv.slice(2), {
  quick: "short samples and smaller numbers, for a first look",
  duration: "length of each sample (default 3; 0.7 with --quick)",
  rounds: "samples per subject (default 5; 3 with --quick)",
});
const base = options.quick ? QUICK_PLAN : PLAN;
const plan: SamplingPlan = {
  ...base,
  durationMs: options.durationMs ?? base.durationMs,
  rounds: options.rounds ?? base.rounds,
};

await runBench<LimitContext>({
  options,
  rows: ROWS,
  plan,
  method: `medians of ${plan.rounds} samples of ${plan.durationMs / 1000} s`,
  open: (run) => ({ ...run, memory: [] }),
});
