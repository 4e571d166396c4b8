import type { Command } from "commander";
import { integerArgument } from "../arguments/numeric-argument.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { printLines } from "../output/print-lines.ts";
import { peekedToJson, peekText } from "../output/subscription-text.ts";

interface PeekOptions extends BrokerAddress {
  readonly limit: number;
  readonly partition?: number;
  readonly fromOffset?: number;
  readonly json?: boolean;
}

/** `millrace peek TOPIC SUBSCRIPTION` */
export function registerPeek(program: Command, run: RunCommand): void {
  program
    .command("peek <topic> <subscription>")
    .description("print messages that a subscription has not finished, without consuming them")
    .option("--limit <n>", "so many at most", integerArgument(1, 10_000), 20)
    .option("--partition <n>", "this partition only", integerArgument(0, 1023))
    .option("--from-offset <n>", "from this offset on", integerArgument(0, Number.MAX_SAFE_INTEGER))
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a message, one a line")
    .action((topic: string, subscription: string, options: PeekOptions) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          const { limit, partition, fromOffset } = options;
          const messages = await client.subscriptions.peek(topic, subscription, {
            limit,
            partition,
            fromOffset,
            signal,
          });
          await printLines(context, options.json === true ? messages.map(peekedToJson) : peekText(messages));
          return EXIT.OK;
        }),
      ),
    );
}
