import type { Client, Durability, Topic, TopicConfig } from "@millrace/client";
import type { Command } from "commander";
import { integerArgument } from "../arguments/numeric-argument.ts";
import {
  durabilityOption,
  overflowOption,
  type RetentionOptions,
  retentionBytesOption,
  retentionOption,
  retentionPolicyOption,
  retentionSettings,
} from "../arguments/topic-settings.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { topicListText } from "../output/topic-text.ts";

interface TopicCreateOptions extends RetentionOptions, BrokerAddress {
  readonly partitions: number;
  readonly durability?: Durability;
  readonly ifNotExists?: boolean;
  readonly json?: boolean;
}

/** `millrace topic create NAME` */
export function registerTopicCreate(parent: Command, run: RunCommand): void {
  parent
    .command("create <name>")
    .description("create a topic and print it")
    .option("--partitions <n>", "1 to 1024; fixed for the topic's life", integerArgument(1, 1024), 1)
    .addOption(retentionOption(" (default: 7d)"))
    .addOption(retentionBytesOption(" (default: unlimited)"))
    .addOption(retentionPolicyOption(" (default: time)"))
    .addOption(overflowOption(" (default: refuse)"))
    .addOption(durabilityOption(" (default: fsynced)"))
    .option("--if-not-exists", "succeed, and print the topic, if it is there already")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((name: string, options: TopicCreateOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          const config: TopicConfig = {
            partitions: options.partitions,
            ...retentionSettings(options),
            durability: options.durability,
          };
          const topic = await create(client, name, config, options, interruption.signal);
          const writer = new LineWriter(context.stdout);
          if (options.json === true) writer.push(JSON.stringify(topic));
          else for (const line of topicListText([topic])) writer.push(line);
          await writer.flush();
          return EXIT.OK;
        }),
      ),
    );
}

async function create(
  client: Client,
  name: string,
  config: TopicConfig,
  options: TopicCreateOptions,
  signal: AbortSignal,
): Promise<Topic> {
  try {
    return await client.topics.create(name, config, { signal });
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "TOPIC_EXISTS";
    if (!exists || options.ifNotExists !== true) throw error;
    const {
      partitionInfo: _bounds,
      owners: _owners,
      ...topic
    } = await client.topics.describe(name, { signal });
    return topic;
  }
}
