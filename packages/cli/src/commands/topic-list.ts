import type { Command } from "commander";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { topicListText } from "../output/topic-text.ts";

interface TopicListOptions extends BrokerAddress {
  readonly json?: boolean;
}

/** `millrace topic list` */
export function registerTopicList(parent: Command, run: RunCommand): void {
  parent
    .command("list")
    .description("list the topics, sorted by name")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a topic, one a line")
    .action((options: TopicListOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          const topics = await client.topics.list({ signal: interruption.signal });
          topics.sort((a, b) => (a.name < b.name ? -1 : 1));
          const writer = new LineWriter(context.stdout);
          const lines = options.json === true ? topics.map((t) => JSON.stringify(t)) : topicListText(topics);
          for (const line of lines) writer.push(line);
          await writer.flush();
          return EXIT.OK;
        }),
      ),
    );
}
