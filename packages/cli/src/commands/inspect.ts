import type { InspectedItem } from "@millrace/broker/internal";
import { type Command, Option } from "commander";
import { integerArgument } from "../arguments/numeric-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { itemToJson, itemToText } from "../output/inspected-text.ts";
import { LineWriter } from "../output/line-writer.ts";

interface InspectCommandOptions {
  readonly limit: number;
  readonly records?: boolean;
  readonly json?: boolean;
}

const HELP = `
FILE is any file of a data folder, recognised by its first bytes: segments, settled files, indexes, checkpoints, manifests,
fences. It is only read, a broker may run on it. Each line begins with a byte of the file. Damaged places are lines, too, and
what stands behind them is shown; "millrace doctor" says whether something is wrong with a folder.`;

/** `millrace inspect FILE` */
export function registerInspect(program: Command, run: RunCommand): void {
  program
    .command("inspect <file>")
    .description("print what a file of a data folder holds")
    .addOption(
      new Option("--limit <n>", "print so many entries, or rows of other files")
        .argParser(integerArgument(0, Number.MAX_SAFE_INTEGER))
        .default(Number.MAX_SAFE_INTEGER, "all"),
    )
    .option("--records", "print the records of each batch, too, as sub --json does")
    .option("--json", "print a JSON object a line")
    .addHelpText("after", HELP)
    .action((file: string, options: InspectCommandOptions) =>
      run((context) => inspect(context, file, options)),
    );
}

async function inspect(
  context: CommandContext,
  file: string,
  { limit, records, json }: InspectCommandOptions,
): Promise<ExitCode> {
  const { inspectFile } = await import("@millrace/broker/internal");
  const format: (item: InspectedItem) => string = json === true ? itemToJson : itemToText;
  const writer = new LineWriter(context.stdout);
  try {
    for (const item of inspectFile(file, { limit, records: records === true })) {
      writer.push(format(item));
      if (writer.full) await writer.flush();
      if (writer.closed) break;
    }
  } catch (error) {
    await writer.flush();
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
    throw new CommandError("INPUT_FAILED", message, { cause: error });
  }
  await writer.flush();
  return EXIT.OK;
}
