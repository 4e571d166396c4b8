import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ChildProcesses, describeMachine, monotonicMs } from "@millrace/load/internal";
import type { BenchRow, RunContext } from "./bench-row.ts";
import type { BenchOptions } from "./options.ts";
import { type BenchResult, isMet } from "./result.ts";
import type { SamplingPlan } from "./sampling.ts";
import { formatResult, formatSummary, Progress } from "./terminal.ts";

/** A command of benchmarks: its rows and what they share. */
export interface BenchSuite<C extends RunContext> {
  readonly options: BenchOptions;
  readonly rows: readonly BenchRow<C>[];
  readonly plan: SamplingPlan;
  /** Goes on top of the table, behind the machine. */
  readonly method: string;
  open(run: RunContext): C;
  /** The context of a row that begins so late. */
  forRow?(context: C, elapsedMs: number): C;
}

const INTERRUPTED_EXIT_CODE = 130;

/** Runs the rows that were asked for, prints and writes what they found, and ends the process. */
export async function runBench<C extends RunContext>(suite: BenchSuite<C>): Promise<void> {
  const { options, rows } = suite;
  const selected = rows.filter(
    (row) => options.only.length === 0 || options.only.some((part) => row.name.includes(part)),
  );
  if (options.list) {
    for (const row of rows) process.stdout.write(`${row.name.padEnd(24)} ${row.description}\n`);
  } else if (selected.length === 0) {
    process.stderr.write(`no row is called ${options.only.join(" or ")}; --list names them all\n`);
    process.exitCode = 2;
  } else {
    await runSelected(suite, selected);
  }
}

async function runSelected<C extends RunContext>(
  suite: BenchSuite<C>,
  selected: readonly BenchRow<C>[],
): Promise<void> {
  const { options, plan } = suite;
  const machine = describeMachine();
  const context = suite.open({
    children: new ChildProcesses(),
    folder: mkdtempSync(join(resolve(options.folder ?? tmpdir()), "millrace-bench-")),
    plan,
    progress: new Progress(monotonicMs),
    quick: options.quick,
  });
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
      `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, node ${machine.node}; ${suite.method}\n\n`,
    );
    outcome = await Promise.race([interrupted, runRows(suite, selected, context, results)]);
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

async function runRows<C extends RunContext>(
  suite: BenchSuite<C>,
  selected: readonly BenchRow<C>[],
  context: C,
  results: BenchResult[],
): Promise<"complete"> {
  const startedMs = monotonicMs();
  for (const row of selected) {
    context.progress.row(row.name);
    const result = await runRow(suite.forRow?.(context, monotonicMs() - startedMs) ?? context, row);
    results.push(result);
    context.progress.clear();
    process.stdout.write(`${formatResult(result)}\n`);
  }
  return "complete";
}

/** A row that fails is a row that is missed; the others still run. */
async function runRow<C extends RunContext>(context: C, row: BenchRow<C>): Promise<BenchResult> {
  const { name, description, target, sense } = row;
  try {
    const { ratio, counts, raw, details } = await row.run(context);
    const met = target === null ? null : ratio !== null && isMet(ratio, target, sense);
    return { name, description, ratio, target, sense, met, raw: { ...raw, counts }, details };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const met = target === null ? null : false;
    return { name, description, ratio: null, target, sense, met, raw: { reason }, details: [reason] };
  }
}
