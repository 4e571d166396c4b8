/** `pnpm bench:log`: the log as it grows old, against what the disk alone can do. See bench/README.md. */
import type { BenchRow } from "../harness/bench-row.ts";
import { runBench } from "../harness/bench-run.ts";
import { parseBenchOptions } from "../harness/options.ts";
import { ingestRows } from "./ingest-rows.ts";
import type { LogContext } from "./log-context.ts";
import { FULL, type LogPlan, QUICK } from "./log-plan.ts";
import { neighbourRow } from "./neighbour-row.ts";
import { recoveryRows } from "./recovery-rows.ts";
import { replayRows } from "./replay-rows.ts";

/** Recovery last: it adds to the data that the rows before it read. */
const ROWS: readonly BenchRow<LogContext>[] = [...ingestRows, ...replayRows, neighbourRow, ...recoveryRows];

const ROUNDS = 3;
const ROUNDS_QUICK = 1;

const options = parseBenchOptions("pnpm bench:log", process.argv.slice(2), {
  quick: "short windows, one round, 2 GB retained instead of 20: a few minutes",
  duration: "length of an ingest window (default 60; 10 with --quick)",
  rounds: "samples per subject (default 3, 5 of what is short; 1 and 2 with --quick)",
});
const base = options.quick ? QUICK : FULL;
const logPlan: LogPlan = {
  ...base,
  ingestMs: options.durationMs ?? base.ingestMs,
  shortRounds: options.rounds ?? base.shortRounds,
};
const rounds = options.rounds ?? (options.quick ? ROUNDS_QUICK : ROUNDS);

await runBench<LogContext>({
  options,
  rows: ROWS,
  plan: { rounds, warmUpMs: 0, settleMs: logPlan.ingestWarmUpMs, durationMs: logPlan.ingestMs },
  method: `medians of ${rounds} rounds; ingest for ${logPlan.ingestMs / 1000} s, ${logPlan.interleavedBytes / 1e9} GB retained`,
  open: (run) => ({ ...run, logPlan, shared: {} }),
});
