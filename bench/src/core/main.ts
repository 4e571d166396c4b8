/** `pnpm bench:core`: the rings of @millrace/core beside their rivals and the limits of the machine. See bench/README.md. */
import type { BenchRow } from "../harness/bench-row.ts";
import { runBench } from "../harness/bench-run.ts";
import { parseBenchOptions } from "../harness/options.ts";
import type { SamplingPlan } from "../harness/sampling.ts";
import type { CoreContext } from "./core-context.ts";
import { costRows } from "./cost-rows.ts";
import { manyToOneRow } from "./many-to-one-row.ts";
import { NativePeer } from "./native-peer.ts";
import { oneToOneRows } from "./one-to-one-rows.ts";
import { pingPongRows } from "./ping-pong-rows.ts";

const ROWS: readonly BenchRow<CoreContext>[] = [...oneToOneRows, manyToOneRow, ...pingPongRows, ...costRows];

/** settleMs is the warm-up of each sample, which is a process of its own. */
const PLAN: SamplingPlan = { rounds: 5, warmUpMs: 0, settleMs: 600, durationMs: 1000 };
const QUICK_PLAN: SamplingPlan = { rounds: 3, warmUpMs: 0, settleMs: 300, durationMs: 200 };

const options = parseBenchOptions("pnpm bench:core", process.argv.slice(2), {
  quick: "short samples and fewer rounds: about two minutes",
  duration: "length of each sample (default 1; 0.2 with --quick)",
  rounds: "samples per subject (default 5; 3 with --quick)",
});
const base = options.quick ? QUICK_PLAN : PLAN;
const plan: SamplingPlan = {
  ...base,
  durationMs: options.durationMs ?? base.durationMs,
  rounds: options.rounds ?? base.rounds,
};

await runBench<CoreContext>({
  options,
  rows: ROWS,
  plan,
  method: `medians of ${plan.rounds} samples of ${plan.durationMs / 1000} s, each in a process of its own`,
  open: (run) => ({ ...run, native: new NativePeer(run), shared: new Map() }),
});
