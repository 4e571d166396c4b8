/** `pnpm bench`: all scenarios, against every broker that is installed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type BenchDocument, describeMachine, type RunProgress } from "@millrace/load";
import { ChildProcesses, monotonicMs } from "@millrace/load/internal";
import { flushFileSystem } from "../harness/file-system.ts";
import { formatFilling, PageCacheFiller } from "../harness/page-cache.ts";
import { Progress } from "../harness/terminal.ts";
import { formatFigure } from "../results/figure-format.ts";
import { formatRows } from "./output/row-lines.ts";
import { writeResults } from "./output/write-results.ts";
import type { SuiteContext } from "./run/subject-run.ts";
import { parseSuiteOptions, type SuiteOptions, UsageText } from "./run/suite-options.ts";
import { planOf } from "./run/suite-plan.ts";
import { OpenFleets, SuiteRun } from "./run/suite-run.ts";
import { ALL_SCENARIOS } from "./scenarios/all-scenarios.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { ALL_SUBJECTS, chosenSubjects } from "./subjects/all-subjects.ts";
import type { Subject } from "./subjects/subject.ts";
import { verdictsOf } from "./verdicts/verdicts.ts";

const INTERRUPTED_EXIT_CODE = 130;
/** Longest that memory is filled for, before the first sample and before any other. */
const FILL_MS_MAX = 120_000;
const REFILL_MS_MAX = 15_000;

try {
  const options = parseSuiteOptions(process.argv.slice(2));
  if (options.list) list();
  else process.exit(await runSuite(options));
} catch (error) {
  if (!(error instanceof UsageText)) throw error;
  (error.exitCode === 0 ? process.stdout : process.stderr).write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}

function list(): void {
  for (const { name, description } of ALL_SCENARIOS) print(`${name.padEnd(20)} ${description}`);
  print("");
  for (const { name, kind, durabilities } of ALL_SUBJECTS)
    print(`${name.padEnd(20)} ${kind.padEnd(8)} ${durabilities.join(", ")}`);
}

async function runSuite(options: SuiteOptions): Promise<number> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const progress = new Progress(monotonicMs);
  const children = new ChildProcesses();
  const fleets = new OpenFleets();
  const folder = mkdtempSync(join(resolve(options.folder ?? tmpdir()), "millrace-bench-"));
  const filler = new PageCacheFiller(folder);
  const plan = planOf(options);
  const context: SuiteContext = {
    children,
    folder,
    plan,
    prepareMachine: async () => {
      await flushFileSystem({ children, folder });
      if (options.fillPageCache) await filler.fill(REFILL_MS_MAX);
    },
    openFleet: () => fleets.open(),
    say: progress.say,
    // Four times a second: for a line that is written over, not for a log.
    onProgress: (run) => {
      if (process.stderr.isTTY) progress.say(formatProgress(run));
    },
  };
  const scenarios = chosenScenarios(options);
  const suite = new SuiteRun(context, options, {
    say: progress.say,
    rows: (scenario, rows) => {
      progress.clear();
      print(formatRows(scenario.name, rows));
    },
  });
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    suite.interrupt();
    filler.stop();
    void Promise.all([children.endAll(), fleets.closeAll()]);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const document = (): BenchDocument => ({
    format: "millrace-bench",
    version: 1,
    startedAt,
    command: ["pnpm bench", ...process.argv.slice(2)].join(" "),
    machine,
    rows: suite.rows,
    verdicts: verdictsOf(suite.rows),
  });
  try {
    print(
      `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, node ${machine.node}; data in ${folder}`,
    );
    print(
      `${plan.rounds} rounds of ${plan.durationMs / 1000} s behind ${plan.warmUpMs / 1000} s of load, subjects in turn`,
    );
    const subjects = await availableSubjects(options);
    if (options.fillPageCache) print(formatFilling(await filler.fill(FILL_MS_MAX, progress.say)));
    print("");
    await suite.run(scenarios, subjects);
  } finally {
    await fleets.closeAll();
    await children.endAll();
    await filler.close();
    rmSync(folder, { recursive: true, force: true });
  }
  progress.clear();
  writeResults(document(), options, print);
  if (interrupted) print("interrupted; what was measured until then is above");
  return interrupted ? INTERRUPTED_EXIT_CODE : 0;
}

function formatProgress({ phase, elapsedMs, totalMs, ...rates }: RunProgress): string {
  const { publishedPerSecond, receivedPerSecond, answeredPerSecond } = rates;
  const fastest = Math.max(publishedPerSecond, receivedPerSecond, answeredPerSecond);
  const seconds = `${(elapsedMs / 1000).toFixed(0)} of ${(totalMs / 1000).toFixed(0)} s`;
  return `${phase}, ${seconds}, ${formatFigure(fastest, "per-second")}`;
}

function chosenScenarios({ scenarios: asked }: SuiteOptions): readonly Scenario[] {
  if (asked.length === 0) return ALL_SCENARIOS;
  // A whole name is that scenario alone: `replay` is not `replay-beside-live` too.
  return ALL_SCENARIOS.filter(({ name }) =>
    asked.some((part) =>
      ALL_SCENARIOS.some((scenario) => scenario.name === part) ? name === part : name.includes(part),
    ),
  );
}

/** A line for each that cannot be had. */
async function availableSubjects({ subjects }: SuiteOptions): Promise<readonly Subject[]> {
  const available: Subject[] = [];
  for (const subject of chosenSubjects(subjects)) {
    const reason = await subject.available();
    if (reason === undefined) available.push(subject);
    else
      print(
        `${subject.name} is skipped: ${reason}${reason.includes("setup.sh") ? "" : "; see bench/peers/setup.sh"}`,
      );
  }
  return available;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
