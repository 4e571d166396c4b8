import type { Command } from "commander";
import type { CommandContext, RunCommand } from "../command-context.ts";
import type { ExitCode } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { roundedSizeText } from "../output/unit-text.ts";
import { withFileWork } from "./file-work.ts";

interface RestoreOptions {
  readonly data: string;
  readonly link?: boolean;
  readonly keepClusterId?: boolean;
  readonly json?: boolean;
}

const HELP = `
Every checksum is compared; a backup that is damaged or incomplete is refused with the names of its files, and leaves no
data folder. SRC stays as it is. Consumers learn from the log epochs that records they have seen may be gone.`;

/** `millrace restore SRC` */
export function registerRestore(program: Command, run: RunCommand): void {
  program
    .command("restore <src>")
    .description("make a data folder of a backup")
    .option("--data <folder>", "the data folder to make; must not exist, or be empty", "./millrace-data")
    .option("--link", "give settled files a second name instead of copying them")
    .option(
      "--keep-cluster-id",
      "take the place of the broker that was backed up, which must not run any more",
    )
    .option("--json", "print a JSON object")
    .addHelpText("after", HELP)
    .action((source: string, options: RestoreOptions) => run((context) => restore(context, source, options)));
}

async function restore(
  context: CommandContext,
  source: string,
  { data, link, keepClusterId, json }: RestoreOptions,
): Promise<ExitCode> {
  return withFileWork(context, async ({ signal, onProgress, elapsedMs }) => {
    const { restoreBackup } = await import("@millrace/broker/internal");
    const summary = await restoreBackup({
      source,
      dataDir: data,
      link: link === true,
      keepClusterId: keepClusterId === true,
      signal,
      onProgress,
    });
    const { dataDir, time, shards, files, bytes } = summary;
    const seconds = (elapsedMs() / 1000).toFixed(1);
    const writer = new LineWriter(context.stdout);
    if (json === true) writer.push(JSON.stringify(summary));
    else {
      const what = `${shards} shards, ${files} files, ${roundedSizeText(bytes)}`;
      writer.push(`restored ${what}, as of ${time}, to ${dataDir} in ${seconds} s`);
      writer.push(`start it with: millrace serve --data ${data}`);
    }
    await writer.flush();
  });
}
