import type { Durability, TopicChanges } from "@millrace/client";
import type { Command } from "commander";
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
import { CommandError } from "../command-error.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { topicListText } from "../output/topic-text.ts";

interface TopicAlterOptions extends RetentionOptions, BrokerAddress {
  readonly durability?: Durability;
  readonly json?: boolean;
}

/** `millrace topic alter NAME` */
export function registerTopicAlter(parent: Command, run: RunCommand): void {
  parent
    .command("alter <name>")
    .description("change settings of a topic and print it; what is not mentioned stays")
    .addOption(retentionOption())
    .addOption(retentionBytesOption())
    .addOption(retentionPolicyOption())
    .addOption(overflowOption())
    .addOption(durabilityOption())
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((name: string, options: TopicAlterOptions) =>
      run((context) => {
        const changes: TopicChanges = { ...retentionSettings(options), durability: options.durability };
        if (Object.values(changes).every((value) => value === undefined)) {
          throw new CommandError("USAGE", "nothing to change: state at least one setting; see --help");
        }
        return withClient(context, options, async (client, interruption) => {
          const topic = await client.topics.alter(name, changes, { signal: interruption.signal });
          const writer = new LineWriter(context.stdout);
          const lines = options.json === true ? [JSON.stringify(topic)] : topicListText([topic]);
          for (const line of lines) writer.push(line);
          await writer.flush();
          return EXIT.OK;
        });
      }),
    );
}
