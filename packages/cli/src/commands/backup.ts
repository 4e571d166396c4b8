import type { BackupSummary } from "@millrace/broker/internal";
import { type Command, Option } from "commander";
import { byteSizeArgument } from "../arguments/numeric-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import type { ExitCode } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { roundedSizeText } from "../output/unit-text.ts";
import { withFileWork } from "./file-work.ts";

interface BackupOptions {
  readonly data: string;
  readonly rate: number | "unlimited";
  readonly json?: boolean;
}

const RATE_DEFAULT = 256 * 1024 * 1024;

const HELP = `
A broker that runs on the data folder goes on: what was acknowledged before the backup began is in it, and of each
partition nothing but what stands in front. DEST must not exist, or be empty; on the data folder's own file system settled
files get a second name instead of a copy. "millrace restore" makes a data folder of it again.`;

/** `millrace backup DEST` */
export function registerBackup(program: Command, run: RunCommand): void {
  program
    .command("backup <dest>")
    .description("copy a data folder, also while a broker runs on it")
    .option("--data <folder>", "the data folder", "./millrace-data")
    .addOption(
      new Option("--rate <size>", "read at most so much per second, or unlimited")
        .argParser(byteSizeArgument)
        .default(RATE_DEFAULT, "256MiB"),
    )
    .option("--json", "print a JSON object")
    .addHelpText("after", HELP)
    .action((destination: string, options: BackupOptions) =>
      run((context) => backup(context, destination, options)),
    );
}

async function backup(
  context: CommandContext,
  destination: string,
  { data, rate, json }: BackupOptions,
): Promise<ExitCode> {
  return withFileWork(context, async ({ signal, onProgress, elapsedMs }) => {
    const { createBackup } = await import("@millrace/broker/internal");
    const bytesPerSecond = rate === "unlimited" ? Number.POSITIVE_INFINITY : rate;
    const summary = await createBackup({ dataDir: data, destination, bytesPerSecond, signal, onProgress });
    const writer = new LineWriter(context.stdout);
    if (json === true) writer.push(JSON.stringify(summary));
    else for (const line of summaryText(summary, elapsedMs())) writer.push(line);
    await writer.flush();
  });
}

function summaryText(summary: BackupSummary, elapsedMs: number): string[] {
  const { destination, shards, files, bytes, linkedFiles, linkedBytes, live } = summary;
  const size = roundedSizeText(bytes);
  const linked = `${linkedFiles} files (${roundedSizeText(linkedBytes)}) by hard links`;
  const copied = `${files - linkedFiles} (${roundedSizeText(bytes - linkedBytes)}) by copying`;
  return [
    `backed up ${shards} shards, ${files} files, ${size} to ${destination} in ${(elapsedMs / 1000).toFixed(1)} s`,
    `${linked}, ${copied}; ${live ? "while the broker ran" : "no broker ran"}`,
  ];
}
