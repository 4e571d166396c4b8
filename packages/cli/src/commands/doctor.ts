import type { DoctorReport, Examination, ExaminationProgress, Finding } from "@millrace/broker/internal";
import type { Command } from "commander";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { addSettingOptions, type SettingFlags } from "../config/setting-options.ts";
import type { Check } from "../doctor/check.ts";
import { checkMachine } from "../doctor/machine-checks.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { ProgressBar, withBar } from "../output/progress-bar.ts";
import { roundedSizeText } from "../output/unit-text.ts";

interface DoctorCommandOptions {
  readonly config?: string;
  readonly machine?: boolean;
  readonly repair?: boolean;
  readonly json?: boolean;
}

const HELP = `
First it looks at what a start needs: the configuration, the versions, the limit of open files, the file system and its room, and
who has the port; also while a broker runs. It takes all options of "serve" for that. Then it reads every byte of the folder,
for which the broker must be stopped. It changes nothing, unless --repair is said: then it repairs what can be repaired
without inventing anything, keeps all originals in DIR/damaged/<time>, and reads everything again.

Exit codes: 0 healthy; 3 damage, all of which --repair can repair; 4 there was damage, and all of it was repaired;
5 damage that cannot be repaired; 1 it could not look (a broker runs on the folder, say). With --machine: 0 a start would do; 1 it
would fail.`;

/** `millrace doctor` */
export function registerDoctor(program: Command, run: RunCommand): void {
  const command = program
    .command("doctor")
    .description("check configuration and machine, verify a data folder, and repair it")
    .option("--machine", "check configuration and machine alone, not the data")
    .option("--repair", "repair what can be repaired; originals are kept")
    .option("--json", "print a JSON object for each check, finding and repair, and a summary")
    .addHelpText("after", HELP);
  addSettingOptions(command, ["data"]);
  command.action((options: DoctorCommandOptions & SettingFlags) =>
    run((context) => doctor(context, options)),
  );
}

async function doctor(
  context: CommandContext,
  {
    config: file,
    machine = false,
    repair = false,
    json = false,
    ...flags
  }: DoctorCommandOptions & SettingFlags,
): Promise<ExitCode> {
  const writer = new LineWriter(context.stdout);
  const print = json ? new JsonOutput(writer) : new TextOutput(writer, repair);
  const sources = { flags, env: context.env, file };
  const { checks, settings } = await checkMachine(sources, context.cores, context.clock.wallMs());
  for (const check of checks) print.check(check);
  await writer.flush();
  // A folder beside a running broker's, which has the port, is none the less sound: exit codes are of the data.
  if (!machine && settings !== undefined) return examine(context, settings.data, repair, writer, print);
  const failed = new Set(checks.filter(({ state }) => state === "failed").map(({ name }) => name));
  if (failed.size === 0) return EXIT.OK;
  throw new CommandError("CHECK_FAILED", `a start would fail: ${[...failed].join(", ")}`);
}

/** Reads the data, and repairs it. */
async function examine(
  context: CommandContext,
  dataDir: string,
  repair: boolean,
  writer: LineWriter,
  print: Output,
): Promise<ExitCode> {
  const { runDoctor } = await import("@millrace/broker/internal");
  const bar = new ExaminationBar(context);
  let rounds = 0;
  let printed: Promise<void> = Promise.resolve();
  const flush = (): void => {
    printed = printed.then(() => writer.flush());
    // It is waited for at the end.
    printed.catch(() => {});
  };
  try {
    const report = await runDoctor({
      dataDir,
      repair,
      now: new Date(context.clock.wallMs()),
      onProgress: (progress) => bar.update(progress),
      onExamined: ({ findings }) => {
        bar.clear();
        // What a repair has left is told at the end, once.
        if (rounds === 0) for (const finding of findings) print.finding(finding);
        rounds += 1;
        flush();
      },
      onRepaired: (step, file) => {
        print.repaired(step, file);
        flush();
      },
    });
    await printed;
    bar.clear();
    const exitCode = exitCodeOf(report, repair);
    print.summary(report, exitCode);
    await writer.flush();
    return exitCode;
  } catch (error) {
    bar.clear();
    await writer.flush();
    throw error;
  }
}

function exitCodeOf({ first, last }: DoctorReport, repair: boolean): ExitCode {
  const damage = damageIn(first);
  if (damage.length === 0 && damageIn(last).length === 0) return EXIT.OK;
  if (repair) return damageIn(last).length === 0 ? EXIT.REPAIRED : EXIT.NOT_REPAIRABLE;
  return damage.every((finding) => finding.repair !== undefined) ? EXIT.DAMAGED : EXIT.NOT_REPAIRABLE;
}

function damageIn({ findings }: Examination): Finding[] {
  return findings.filter(({ severity }) => severity === "damage");
}

interface Output {
  check(check: Check): void;
  finding(finding: Finding): void;
  repaired(step: string, file: string): void;
  summary(report: DoctorReport, exitCode: ExitCode): void;
}

/** For people. */
class TextOutput implements Output {
  readonly #writer: LineWriter;
  readonly #repair: boolean;

  constructor(writer: LineWriter, repair: boolean) {
    this.#writer = writer;
    this.#repair = repair;
  }

  check({ name, state, sentence, advice }: Check): void {
    this.#writer.push(`${state.padEnd(7)}  ${name}: ${sentence}`);
    if (advice !== undefined) this.#writer.push(`         ${advice}`);
  }

  finding({ severity, code, file, position, sentence, repair, remains }: Finding): void {
    this.#writer.push(`${severity} ${code} in ${file} at byte ${position}: ${sentence}`);
    const will = this.#repair ? "repair will" : "--repair would";
    this.#writer.push(repair === undefined ? `  not repairable: ${remains}` : `  ${will} ${repair.does}`);
  }

  repaired(step: string, file: string): void {
    this.#writer.push(`repaired ${file} (${step})`);
  }

  summary({ first, last, repairs, aside }: DoctorReport): void {
    const { shards, files, bytes } = last;
    this.#writer.push(`read ${shards} shards, ${files} files, ${roundedSizeText(bytes)}`);
    if (repairs > 0) {
      this.#writer.push(`${repairs} repairs; what they replaced is in ${aside}, unless it held nothing`);
      for (const finding of last.findings) this.finding(finding);
    }
    this.#writer.push(verdictText(first, last));
  }
}

function verdictText(first: Examination, last: Examination): string {
  const damage = damageIn(last);
  const lost = damage.filter(({ repair }) => repair === undefined).length;
  if (lost > 0) return `damaged: ${damage.length} findings, ${lost} of them cannot be repaired`;
  if (damage.length > 0) return `damaged: ${damage.length} findings, all of which --repair can repair`;
  if (damageIn(first).length > 0) return "healthy: all damage was repaired";
  const leftovers = last.findings.filter(({ severity }) => severity === "leftover").length;
  return leftovers === 0 ? "healthy" : `healthy; the next start clears up ${leftovers} leftovers`;
}

/** An object a line, each with `kind`. */
class JsonOutput implements Output {
  readonly #writer: LineWriter;

  constructor(writer: LineWriter) {
    this.#writer = writer;
  }

  check({ name, state, sentence, advice }: Check): void {
    this.#push("check", { name, state, sentence, advice: advice ?? null });
  }

  finding(finding: Finding): void {
    this.#push("finding", findingFields(finding));
  }

  repaired(step: string, file: string): void {
    this.#push("repair", { step, file });
  }

  summary({ first, last, repairs, aside }: DoctorReport, exitCode: ExitCode): void {
    if (repairs > 0) for (const finding of last.findings) this.#push("left", findingFields(finding));
    const { shards, files, bytes } = last;
    this.#push("summary", {
      shards,
      files,
      bytes,
      damaged: damageIn(first).length,
      left: damageIn(last).length,
      repairs,
      aside: aside ?? null,
      exitCode,
    });
  }

  #push(kind: string, fields: Readonly<Record<string, unknown>>): void {
    this.#writer.push(JSON.stringify({ kind, ...fields }));
  }
}

function findingFields(finding: Finding): Record<string, unknown> {
  const { severity, code, file, position, sentence, repair, remains } = finding;
  return { severity, code, file, position, sentence, repair: repair?.does ?? null, remains };
}

class ExaminationBar {
  readonly #context: CommandContext;
  #bar: ProgressBar | undefined;
  #last: ExaminationProgress | undefined;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  update(progress: ExaminationProgress): void {
    this.#last = progress;
    const { stderr, clock } = this.#context;
    this.#bar ??= new ProgressBar(stderr, clock, undefined, (files, bytes, _total, elapsedMs) =>
      this.#text(files, bytes, elapsedMs),
    );
    this.#bar.update(progress.files, progress.bytes);
  }

  /** The next update begins a new one. */
  clear(): void {
    this.#bar?.clear();
    this.#bar = undefined;
  }

  #text(files: number, bytes: number, elapsedMs: number): string {
    const { filesTotal = 0, bytesTotal = 0 } = this.#last ?? {};
    const rate = elapsedMs > 0 ? roundedSizeText(Math.round((bytes * 1000) / elapsedMs)) : "0 B";
    const done = `${roundedSizeText(bytes)} of ${roundedSizeText(bytesTotal)}`;
    return withBar(`${files} of ${filesTotal} files, ${done}, ${rate}/s`, bytes, bytesTotal);
  }
}
