import type { TruncateBefore } from "@millrace/client";
import type { Command } from "commander";
import { type BeforeArgument, beforeArgument } from "../arguments/before-argument.ts";
import { integerArgument } from "../arguments/numeric-argument.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";
import { truncatedText } from "../output/topic-text.ts";

interface TopicTruncateOptions extends BrokerAddress {
  readonly before: BeforeArgument;
  readonly partition?: readonly number[];
  readonly json?: boolean;
}

const partitionNumber = integerArgument(0, 1023);

/** `millrace topic truncate NAME --before WHERE` */
export function registerTopicTruncate(parent: Command, run: RunCommand): void {
  parent
    .command("truncate <name>")
    .description("give up the oldest records of a topic; this cannot be undone")
    .requiredOption(
      "--before <where>",
      "offset:N, time:ISO, time:2h (two hours ago), or latest: all there is",
      beforeArgument,
    )
    .option(
      "--partition <n...>",
      "these partitions only",
      (text, previous: readonly number[] | undefined) => [...(previous ?? []), partitionNumber(text)],
    )
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a partition, one a line")
    .action((name: string, options: TopicTruncateOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          const truncation = {
            before: beforeOf(options.before, context.clock.wallMs()),
            partitions: options.partition,
          };
          const truncated = await client.topics.truncate(name, truncation, { signal: interruption.signal });
          const writer = new LineWriter(context.stdout);
          const lines =
            options.json === true
              ? truncated.map((partition) => JSON.stringify({ topic: name, ...partition }))
              : truncatedText(truncated);
          for (const line of lines) writer.push(line);
          await writer.flush();
          return EXIT.OK;
        }),
      ),
    );
}

function beforeOf(before: BeforeArgument, nowMs: number): TruncateBefore {
  if (typeof before === "string" || !("agoMs" in before)) return before;
  return { time: Math.max(0, nowMs - before.agoMs) };
}
