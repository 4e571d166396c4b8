import type { Command } from "commander";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";

interface TopicDeleteOptions extends BrokerAddress {
  readonly json?: boolean;
}

/** `millrace topic delete NAME` */
export function registerTopicDelete(parent: Command, run: RunCommand): void {
  parent
    .command("delete <name>")
    .description("delete a topic with all its records; this cannot be undone")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action((name: string, options: TopicDeleteOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          await client.topics.delete(name, { signal: interruption.signal });
          const writer = new LineWriter(context.stdout);
          writer.push(options.json === true ? JSON.stringify({ name, deleted: true }) : `deleted ${name}`);
          await writer.flush();
          return EXIT.OK;
        }),
      ),
    );
}
