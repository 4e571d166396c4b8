import type { Command } from "commander";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { topicDescriptionText } from "../output/topic-text.ts";

interface TopicDescribeOptions extends BrokerAddress {
  readonly json?: boolean;
}

/** `millrace topic describe NAME` */
export function registerTopicDescribe(parent: Command, run: RunCommand): void {
  parent
    .command("describe <name>")
    .description("show a topic's settings and the bounds of its partitions")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((name: string, options: TopicDescribeOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          const topic = await client.topics.describe(name, { signal: interruption.signal });
          const writer = new LineWriter(context.stdout);
          const lines = options.json === true ? [JSON.stringify(topic)] : topicDescriptionText(topic);
          for (const line of lines) writer.push(line);
          await writer.flush();
          return EXIT.OK;
        }),
      ),
    );
}
