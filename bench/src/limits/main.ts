/** `pnpm bench:limits`: how near the broker comes to what the machine can do. See bench/README.md. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ChildProcesses } from "../harness/child-processes.ts";
import { describeMachine } from "../harness/machine.ts";
import { type BenchOptions, parseBenchOptions } from "../harness/options.ts";
import { type BenchResult, isMet } from "../harness/result.ts";
import type { SamplingPlan } from "../harness/sampling.ts";
import { monotonicMs } from "../harness/system-clock.ts";
import { formatResult, formatSummary, Progress } from "../harness/terminal.ts";
import { clientRows } from "./client-rows.ts";
import type { LimitContext } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { flatRows, peakRow } from "./memory-rows.ts";
import { publishRows } from "./publish-rows.ts";
import { tailRows } from "./tail-rows.ts";

const ROWS: readonly LimitRow[] = [...publishRows, ...tailRows, ...clientRows, ...flatRows, peakRow];

const PLAN: SamplingPlan = { rounds: 5, warmUpMs: 2000, settleMs: 500, durationMs: 3000 };
const QUICK_PLAN: SamplingPlan = { rounds: 3, warmUpMs: 300, settleMs: 100, durationMs: 400 };

const INTERRUPTED_EXIT_CODE = 130;
/** Rounds of a row of a quick run that begins so late: a loaded machine gets fewer samples, not a longer run. */
const QUICK_ROUNDS_LATE: readonly (readonly [afterMs: number, rounds: number])[] = [
  [42_000, 1],
  [30_000, 2],
];

const options = parseBenchOptions("pnpm bench:limits", process.argv.slice(2));
const selected = ROWS.filter(
  (row) => options.only.length === 0 || options.only.some((part) => row.name.includes(part)),
);
if (options.list) {
  for (const row of ROWS) process.stdout.write(`${row.name.padEnd(24)} ${row.description}\n`);
} else if (selected.length === 0) {
  process.stderr.write(`no row is called ${options.only.join(" or ")}; --list names them all\n`);
  process.exitCode = 2;
} else {
  await main();
}

async function main(): Promise<void> {
  const machine = describeMachine();
  const plan = planOf(options);
  const context: LimitContext = {
    children: new ChildProcesses(),
    folder: mkdtempSync(join(resolve(options.folder ?? tmpdir()), "millrace-bench-")),
    plan,
    progress: new Progress(monotonicMs),
    memory: [],
    quick: options.quick,
  };
  const results: BenchResult[] = [];
  // An interrupted run leaves neither processes nor gigabytes of data behind.
  let interrupt = (): void => undefined;
  const interrupted = new Promise<"interrupted">((resolve) => {
    interrupt = () => resolve("interrupted");
  });
  let outcome: "interrupted" | "complete" = "complete";
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    process.stdout.write(
      `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, node ${machine.node}; ` +
        `medians of ${plan.rounds} samples of ${plan.durationMs / 1000} s\n\n`,
    );
    outcome = await Promise.race([interrupted, runRows(context, results)]);
  } finally {
    await context.children.endAll();
    rmSync(context.folder, { recursive: true, force: true });
  }
  process.stdout.write(results.length > 0 ? `${formatSummary(results)}\n` : "");
  if (outcome === "interrupted") {
    process.stdout.write("interrupted\n");
    process.exit(INTERRUPTED_EXIT_CODE);
  }
  if (options.json !== undefined) {
    const rows = results.map(({ details: _details, ...row }) => ({
      ...row,
      raw: { ...row.raw, machine, plan },
    }));
    writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
  }
  process.exit(0);
}

async function runRows(context: LimitContext, results: BenchResult[]): Promise<"complete"> {
  const startedMs = monotonicMs();
  for (const row of selected) {
    context.progress.row(row.name);
    const rounds = roundsAfter(monotonicMs() - startedMs);
    const result = await runRow({ ...context, plan: { ...context.plan, rounds } }, row);
    results.push(result);
    context.progress.clear();
    process.stdout.write(`${formatResult(result)}\n`);
  }
  return "complete";
}

/** A row that fails is a row that is missed; the others still run. */
async function runRow(context: LimitContext, row: LimitRow): Promise<BenchResult> {
  const { name, description, target, sense } = row;
  try {
    const { ratio, counts, raw, details } = await row.run(context);
    const met = ratio !== null && isMet(ratio, target, sense);
    return { name, description, ratio, target, sense, met, raw: { ...raw, counts }, details };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { name, description, ratio: null, target, sense, met: false, raw: { reason }, details: [reason] };
  }
}

function roundsAfter(elapsedMs: number): number {
  const { rounds } = planOf(options);
  if (!options.quick) return rounds;
  const late = QUICK_ROUNDS_LATE.find(([afterMs]) => elapsedMs >= afterMs);
  return Math.min(rounds, late?.[1] ?? rounds);
}

function planOf({ quick, durationMs, rounds }: BenchOptions): SamplingPlan {
  const plan = quick ? QUICK_PLAN : PLAN;
  return { ...plan, durationMs: durationMs ?? plan.durationMs, rounds: rounds ?? plan.rounds };
}
