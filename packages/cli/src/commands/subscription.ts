import type {
  Client,
  RequestOptions,
  SubscriptionInfo,
  SubscriptionMode,
  SubscriptionStart,
} from "@millrace/client";
import { type Command, Option } from "commander";
import { seekArgument, startArgument } from "../arguments/seek-argument.ts";
import {
  type SubscriptionSettingOptions,
  subscriptionSettingOptions,
  subscriptionSettings,
} from "../arguments/subscription-settings.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { printLines } from "../output/print-lines.ts";
import {
  descriptionToJson,
  subscriptionDescriptionText,
  subscriptionListText,
} from "../output/subscription-text.ts";

interface CommonOptions extends BrokerAddress {
  readonly json?: boolean;
}

/** What a command does that ends with the subscription as it is now. */
type Change<O> = (
  client: Client,
  topic: string,
  name: string,
  options: O,
  request: RequestOptions,
) => Promise<SubscriptionInfo>;

/** `millrace subscription …` */
export function registerSubscription(program: Command, run: RunCommand): void {
  const parent = program
    .command("subscription")
    .description("create, list, describe, alter, seek, pause, resume, snapshot and delete subscriptions");
  registerCreate(parent, run);
  registerList(parent, run);
  registerDescribe(parent, run);
  registerAlter(parent, run);
  registerSeek(parent, run);
  change(parent, run, "pause", "deliver nothing until resumed", (client, topic, name, _options, request) =>
    client.subscriptions.pause(topic, name, request),
  );
  change(parent, run, "resume", "deliver again", (client, topic, name, _options, request) =>
    client.subscriptions.resume(topic, name, request),
  );
  registerSnapshot(parent, run);
  registerDelete(parent, run);
}

interface CreateOptions extends CommonOptions, SubscriptionSettingOptions {
  readonly mode: SubscriptionMode;
  readonly from?: SubscriptionStart;
}

function registerCreate(parent: Command, run: RunCommand): void {
  const command = change<CreateOptions>(
    parent,
    run,
    "create",
    "create a subscription and print it",
    (client, topic, name, options, request) => {
      const { mode, from } = options;
      return client.subscriptions.create(
        topic,
        name,
        { mode, from, ...subscriptionSettings(options) },
        request,
      );
    },
  );
  command.addOption(modeOption().makeOptionMandatory());
  command.option(
    "--from <where>",
    "earliest, latest, offset:N or time:ISO (default: latest; earliest on topics that keep until acknowledged)",
    startArgument,
  );
  for (const option of subscriptionSettingOptions(true)) command.addOption(option);
}

function registerList(parent: Command, run: RunCommand): void {
  parent
    .command("list [topic]")
    .description("list the subscriptions of a topic, or of all")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a subscription, one a line")
    .action((topic: string | undefined, options: CommonOptions) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          const subscriptions = await client.subscriptions.list(topic, { signal });
          await print(context, options, subscriptions);
          return EXIT.OK;
        }),
      ),
    );
}

function registerDescribe(parent: Command, run: RunCommand): void {
  parent
    .command("describe <topic> <name>")
    .description("show a subscription with its backlog, partition by partition")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((topic: string, name: string, options: CommonOptions) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          const subscription = await client.subscriptions.describe(topic, name, { signal });
          const lines =
            options.json === true
              ? [descriptionToJson(subscription)]
              : subscriptionDescriptionText(subscription);
          await printLines(context, lines);
          return EXIT.OK;
        }),
      ),
    );
}

function registerAlter(parent: Command, run: RunCommand): void {
  const command = change<CommonOptions & SubscriptionSettingOptions>(
    parent,
    run,
    "alter",
    "change a subscription's settings; what is not mentioned stays",
    (client, topic, name, options, request) =>
      client.subscriptions.alter(topic, name, subscriptionSettings(options), request),
  );
  for (const option of subscriptionSettingOptions(false)) command.addOption(option);
}

function registerSeek(parent: Command, run: RunCommand): void {
  change<CommonOptions & { readonly to: SubscriptionStart }>(
    parent,
    run,
    "seek",
    "move a subscription; what it goes back over is delivered again, what it passes is not delivered",
    (client, topic, name, { to }, request) => client.subscriptions.seek(topic, name, to, request),
  ).requiredOption(
    "--to <where>",
    "earliest, latest, offset:N (of each partition), time:ISO or snapshot:NAME",
    seekArgument,
  );
}

interface SnapshotOptions extends CommonOptions {
  readonly as: string;
  readonly delete?: boolean;
}

function registerSnapshot(parent: Command, run: RunCommand): void {
  change<SnapshotOptions>(
    parent,
    run,
    "snapshot",
    "keep the present position under a name, for seek",
    (client, topic, name, options, request) =>
      options.delete === true
        ? client.subscriptions.deleteSnapshot(topic, name, options.as, request)
        : client.subscriptions.snapshot(topic, name, options.as, request),
  )
    .requiredOption("--as <snapshot>", "the snapshot's name")
    .option("--delete", "forget the snapshot instead");
}

function registerDelete(parent: Command, run: RunCommand): void {
  parent
    .command("delete <topic> <name>")
    .description("delete a subscription with its position; its consumers are told")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((topic: string, name: string, options: CommonOptions) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          await client.subscriptions.delete(topic, name, { signal });
          const deleted = { topic, name, deleted: true };
          await printLines(context, [
            options.json === true ? JSON.stringify(deleted) : `deleted ${name} of ${topic}`,
          ]);
          return EXIT.OK;
        }),
      ),
    );
}

export function modeOption(): Option {
  return new Option(
    "--mode <mode>",
    "stream: a cursor, members share the partitions; queue: message by message; keyed: in order within each key",
  ).choices(["stream", "queue", "keyed"]);
}

/** A command for one subscription that prints it as it is afterwards. */
function change<O extends CommonOptions>(
  parent: Command,
  run: RunCommand,
  verb: string,
  description: string,
  work: Change<O>,
): Command {
  return parent
    .command(`${verb} <topic> <name>`)
    .description(description)
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((topic: string, name: string, options: O) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          await print(context, options, [await work(client, topic, name, options, { signal })]);
          return EXIT.OK;
        }),
      ),
    );
}

async function print(
  context: CommandContext,
  options: CommonOptions,
  subscriptions: readonly SubscriptionInfo[],
): Promise<void> {
  const lines =
    options.json === true
      ? subscriptions.map((one) => JSON.stringify(one))
      : subscriptionListText(subscriptions);
  await printLines(context, lines);
}
