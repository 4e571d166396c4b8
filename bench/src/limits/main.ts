/** `pnpm bench:limits`: how near the broker comes to what the machine can do. See bench/README.md. */
import { runBench } from "../harness/bench-run.ts";
import { parseBenchOptions } from "../harness/options.ts";
import type { SamplingPlan } from "../harness/sampling.ts";
import { clientRows } from "./client-rows.ts";
import type { LimitContext } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { flatRows, peakRow } from "./memory-rows.ts";
import { publishRows } from "./publish-rows.ts";
import { tailRows } from "./tail-rows.ts";

const ROWS: readonly LimitRow[] = [...publishRows, ...tailRows, ...clientRows, ...flatRows, peakRow];

const PLAN: SamplingPlan = { rounds: 5, warmUpMs: 2000, settleMs: 500, durationMs: 3000 };
const QUICK_PLAN: SamplingPlan = { rounds: 3, warmUpMs: 300, settleMs: 100, durationMs: 400 };

/** Rounds of a row of a quick run that begins so late: a loaded machine gets fewer samples, not a longer run. */
const QUICK_ROUNDS_LATE: readonly (readonly [afterMs: number, rounds: number])[] = [
  [42_000, 1],
  [30_000, 2],
];

const options = parseBenchOptions("pnpm bench:limits", process.argv.slice(2), {
  quick: "short samples, the whole run under a minute",
  duration: "length of each sample (default 3; 0.4 with --quick)",
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
  forRow: (context, elapsedMs) => ({ ...context, plan: { ...plan, rounds: roundsAfter(elapsedMs) } }),
});

function roundsAfter(elapsedMs: number): number {
  if (!options.quick) return plan.rounds;
  const late = QUICK_ROUNDS_LATE.find(([afterMs]) => elapsedMs >= afterMs);
  return Math.min(plan.rounds, late?.[1] ?? plan.rounds);
}
