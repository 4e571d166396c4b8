import type { Client, Gap, ReceivedRecord, SubscribeFrom, Subscription } from "@millrace/client";
import type { Command } from "commander";
import { fromArgument } from "../arguments/from-argument.ts";
import { integerArgument } from "../arguments/numeric-argument.ts";
import { urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import type { Interruption } from "../interruption.ts";
import { LineWriter } from "../output/line-writer.ts";
import { recordToJson, valueToOutput } from "../output/record-json.ts";

interface SubOptions {
  readonly url: string;
  readonly from: SubscribeFrom;
  readonly partition?: number;
  readonly count?: number;
  readonly untilEnd?: boolean;
  readonly json?: boolean;
}

const HELP = `
--json prints topic, partition, offset, timestamp (ms since the epoch), key, headers and value. Bytes that are not
valid UTF-8 appear in base64 as valueBase64, keyBase64 or in headersBase64, instead of the plain member.
Without --json each value is printed as it is, followed by a newline.

Interrupted (Ctrl-C) it ends with 0, or with 130 if --count or --until-end had not been reached.`;

/** `millrace sub TOPIC` */
export function registerSub(program: Command, run: RunCommand): void {
  program
    .command("sub <topic>")
    .description("print the records of a topic")
    .option("--from <where>", "earliest, latest, offset:N or time:ISO", fromArgument, "latest")
    .option("--partition <n>", "this partition only", integerArgument(0, 1023))
    .option("--count <n>", "end after so many records", integerArgument(1, Number.MAX_SAFE_INTEGER))
    .option("--until-end", "end where the topic ended when the command began")
    .addOption(urlOption())
    .option("--json", "print a JSON object a record, one a line")
    .addHelpText("after", HELP)
    .action((topic: string, options: SubOptions) =>
      run((context) =>
        withClient(context, options.url, (client, interruption) =>
          printRecords(context, client, interruption, topic, options),
        ),
      ),
    );
}

async function printRecords(
  context: CommandContext,
  client: Client,
  interruption: Interruption,
  topic: string,
  options: SubOptions,
): Promise<ExitCode> {
  const subscription = client.subscribe(topic, {
    from: options.from,
    partitions: options.partition === undefined ? undefined : [options.partition],
    untilEnd: options.untilEnd === true,
    onGap: (gap) => context.stderr.write(`${gapText(gap)}\n`),
  });
  const writer = new LineWriter(context.stdout);
  const close = (): void => void subscription.close();
  writer.onClosed(close);
  interruption.signal.addEventListener("abort", close);
  if (interruption.interrupted) close();
  const reached = await copyRecords(subscription, writer, options);
  if (!interruption.interrupted || reached || writer.closed) return EXIT.OK;
  return options.count === undefined && options.untilEnd !== true ? EXIT.OK : EXIT.INTERRUPTED;
}

/** Prints until the subscription or the output ends, or `count` records are printed: then it returns true. */
async function copyRecords(
  subscription: Subscription,
  writer: LineWriter,
  options: SubOptions,
): Promise<boolean> {
  const format: (record: ReceivedRecord) => string | Uint8Array =
    options.json === true ? recordToJson : (record) => valueToOutput(record.value);
  let left = options.count ?? Number.POSITIVE_INFINITY;
  for await (const batch of subscription.batches()) {
    for (const record of batch) {
      writer.push(format(record));
      if (--left === 0) break;
      if (writer.full) await writer.flush();
    }
    await writer.flush();
    if (left === 0) return true;
    if (writer.closed) return false;
  }
  return false;
}

function gapText(gap: Gap): string {
  const where = `${gap.topic} partition ${gap.partition}`;
  if (gap.fromOffset === gap.toOffset) return `gap: ${where} at offset ${gap.fromOffset} (${gap.reason})`;
  if (gap.toOffset < gap.fromOffset)
    return `gap: ${where} goes back from offset ${gap.fromOffset} to ${gap.toOffset} (${gap.reason})`;
  return `gap: ${where} offsets ${gap.fromOffset} to ${gap.toOffset - 1} will not come (${gap.reason})`;
}
