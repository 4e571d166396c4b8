import type { Command } from "commander";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { Interruption } from "../interruption.ts";
import { LineWriter } from "../output/line-writer.ts";
import { statusText } from "../output/status-text.ts";
import { requestStatus } from "../status-request.ts";

interface StatusOptions extends BrokerAddress {
  readonly json?: boolean;
}

const HELP = `
Any node may be asked, and asks the others; those that do not answer are named. A broker of one process is a cluster of one node.
The members of the JSON object are in docs/reference/http.md.`;

/** `millrace status` */
export function registerStatus(program: Command, run: RunCommand): void {
  program
    .command("status")
    .description("show nodes, shards and links of a broker that runs")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print one JSON object")
    .addHelpText("after", HELP)
    .action((options: StatusOptions) => run((context) => status(context, options)));
}

async function status(context: CommandContext, options: StatusOptions): Promise<ExitCode> {
  const interruption = new Interruption(context.signals, context.clock);
  try {
    const answer = await requestStatus(options, interruption.signal);
    const writer = new LineWriter(context.stdout);
    const lines = options.json === true ? [JSON.stringify(answer)] : statusText(answer);
    for (const line of lines) writer.push(line);
    await writer.flush();
    return EXIT.OK;
  } catch (error) {
    if (interruption.interrupted) return EXIT.INTERRUPTED;
    throw error;
  } finally {
    interruption.dispose();
  }
}
