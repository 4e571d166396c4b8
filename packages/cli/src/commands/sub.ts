import type { Client, ConsumeMode, ReceivedRecord, SubscribeFrom, Subscription } from "@millrace/client";
import { type Command, Option } from "commander";
import { fromArgument } from "../arguments/from-argument.ts";
import { integerArgument } from "../arguments/numeric-argument.ts";
import {
  type SubscriptionSettingOptions,
  subscriptionSettingOptions,
} from "../arguments/subscription-settings.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import type { Interruption } from "../interruption.ts";
import { gapText } from "../output/gap-text.ts";
import { LineWriter } from "../output/line-writer.ts";
import { recordToJson, valueToOutput } from "../output/record-json.ts";
import { printMessages } from "./sub-consume.ts";

/** Options of `sub`, as they were parsed. */
export interface SubOptions extends SubscriptionSettingOptions, BrokerAddress {
  readonly from?: Exclude<SubscribeFrom, { readonly offsets: unknown }>;
  readonly subscription?: string;
  readonly mode?: ConsumeMode;
  /** True unless --no-ack was given. */
  readonly ack: boolean;
  readonly partition?: number;
  readonly count?: number;
  readonly untilEnd?: boolean;
  readonly json?: boolean;
}

const HELP = `
Without --subscription it reads the topic for itself and leaves nothing behind; --mode live begins with what is published
from now on. With --subscription it takes part in that subscription, which is created if --mode says how and there is none;
what it printed is acknowledged (stream: its offset committed). With --no-ack everything is given back at the end.

--json prints topic, partition, offset, timestamp (ms since the epoch), key, headers and value. Bytes that are not
valid UTF-8 appear in base64 as valueBase64, keyBase64 or in headersBase64, instead of the plain member.
Without --json each value is printed as it is, followed by a newline.

Interrupted (Ctrl-C) it ends with 0, or with 130 if --count or --until-end had not been reached.`;

/** `millrace sub TOPIC` */
export function registerSub(program: Command, run: RunCommand): void {
  const command = program
    .command("sub <topic>")
    .description("print the records of a topic")
    .option("--from <where>", "earliest, latest, offset:N or time:ISO (default: latest)", fromArgument)
    .option("--partition <n>", "this partition only", integerArgument(0, 1023))
    .option("--count <n>", "end after so many records", integerArgument(1, Number.MAX_SAFE_INTEGER))
    .option("--until-end", "end where the topic ended when the command began")
    .option("--subscription <name>", "take part in this subscription")
    .addOption(
      new Option("--mode <mode>", "of the subscription; live needs none").choices([
        "stream",
        "queue",
        "keyed",
        "live",
      ]),
    )
    .option("--ack", "acknowledge what is printed, the default", true)
    .option("--no-ack", "acknowledge nothing")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a record, one a line")
    .addHelpText("after", HELP)
    .action((topic: string, options: SubOptions) =>
      run((context) => {
        checkCombination(options);
        return withClient(context, options, (client, interruption) =>
          (options.subscription === undefined ? printRecords : printMessages)(
            context,
            client,
            interruption,
            topic,
            options,
          ),
        );
      }),
    );
  for (const option of subscriptionSettingOptions(true)) command.addOption(option);
}

/** @throws CommandError USAGE where options contradict each other */
function checkCombination(options: SubOptions): void {
  const { subscription, mode, partition, untilEnd } = options;
  const refuse = (text: string): never => {
    throw new CommandError("USAGE", text);
  };
  if (subscription === undefined) {
    if (mode !== undefined && mode !== "live") refuse(`--mode ${mode} needs --subscription`);
    if (!options.ack) refuse("--no-ack needs --subscription");
    return;
  }
  if (mode === "live") refuse("--mode live has no subscription");
  if (partition !== undefined) refuse("--partition cannot be chosen with --subscription");
  if (untilEnd === true) refuse("--until-end cannot be used with --subscription");
}

async function printRecords(
  context: CommandContext,
  client: Client,
  interruption: Interruption,
  topic: string,
  options: SubOptions,
): Promise<ExitCode> {
  const subscription = client.subscribe(topic, {
    from: options.from ?? "latest",
    ...(options.mode === "live" ? { mode: "live" } : {}),
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
