import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import type { CommandContext, RunCommand } from "./command-context.ts";
import { describeError, exitCodeOf } from "./command-error.ts";
import { registerBackup } from "./commands/backup.ts";
import { registerBench } from "./commands/bench.ts";
import { registerConfig } from "./commands/config.ts";
import { registerDlq } from "./commands/dlq.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerInspect } from "./commands/inspect.ts";
import { registerPeek } from "./commands/peek.ts";
import { registerPub } from "./commands/pub.ts";
import { registerRestore } from "./commands/restore.ts";
import { registerServe } from "./commands/serve.ts";
import { registerStatus } from "./commands/status.ts";
import { registerSub } from "./commands/sub.ts";
import { registerSubscription } from "./commands/subscription.ts";
import { registerRestart, registerShard } from "./commands/supervised.ts";
import { registerTopic } from "./commands/topic.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { LineWriter } from "./output/line-writer.ts";

const HELP = `
Each command explains itself: millrace serve --help.

Exit codes: 0 done; 1 refused by the broker, the network or the input ("error CODE: message" says what);
2 the command line is wrong; 3, 4, 5 what "doctor" found; 130 interrupted before the work was complete.

First steps:
  millrace serve
  millrace topic create hello --partitions 4
  millrace pub hello "first record" --key k
  millrace sub hello --from earliest --json`;

/**
 * Runs the command that `args` names (without node and script) and resolves with the exit code. Errors are printed;
 * it does not reject, and it does not end the process, except at a second signal.
 */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.OK;
  const run: RunCommand = async (work) => {
    exitCode = await work(context);
  };
  let explanation = "";
  const explain = (text: string): void => {
    explanation += text;
  };
  try {
    try {
      await createProgram(context, run, explain).parseAsync(args, { from: "user" });
      return exitCode;
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      // It is the help or the version, or Commander has printed what is wrong with the arguments.
      await printText(context, explanation);
      return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
    }
  } catch (error) {
    context.stderr.write(`${describeError(error)}\n`);
    return exitCodeOf(error);
  }
}

/** With the help, too, whoever reads may go away (`| head`). */
async function printText(context: CommandContext, text: string): Promise<void> {
  if (text === "") return;
  const writer = new LineWriter(context.stdout);
  writer.push(text.replace(/\n$/, ""));
  await writer.flush();
}

/** `explain` gets the help and the version, in parts. */
function createProgram(context: CommandContext, run: RunCommand, explain: (text: string) => void): Command {
  const program = new Command("millrace")
    .description("a message broker and an event broker in one")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: explain,
      writeErr: (text) => void context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "error USAGE: ")),
    })
    .addHelpText("after", HELP);
  program.commandsGroup("A broker:");
  registerServe(program, run);
  registerRestart(program, run);
  registerShard(program, run);
  registerConfig(program, run);
  registerStatus(program, run);
  program.commandsGroup("Topics and subscriptions, of a broker that runs:");
  registerTopic(program, run);
  registerPub(program, run);
  registerSub(program, run);
  registerSubscription(program, run);
  registerPeek(program, run);
  registerDlq(program, run);
  program.commandsGroup("Its data:");
  registerDoctor(program, run);
  registerInspect(program, run);
  registerBackup(program, run);
  registerRestore(program, run);
  program.commandsGroup("More:");
  registerBench(program, run);
  program.helpCommand(true);
  return program;
}

function packageVersion(): string {
  // dist/src/command-line.js -> package.json, in the repository as in the published package.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
