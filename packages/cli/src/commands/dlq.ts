import type { DeadLetter } from "@millrace/client";
import { type Command, InvalidArgumentError } from "commander";
import { integerArgument } from "../arguments/numeric-argument.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";
import { EXIT } from "../exit-code.ts";
import { printLines } from "../output/print-lines.ts";
import { deadLetterText, deadLetterToJson } from "../output/subscription-text.ts";

interface DlqOptions extends BrokerAddress {
  readonly subscription?: string;
  readonly json?: boolean;
}

/** A place in a dead-letter topic. */
type Place = readonly [partition: number, offset: number];

/** `millrace dlq …` */
export function registerDlq(program: Command, run: RunCommand): void {
  const parent = program.command("dlq").description("list and redrive the dead letters of a topic");
  registerList(parent, run);
  registerRedrive(parent, run);
}

function registerList(parent: Command, run: RunCommand): void {
  parent
    .command("list <topic>")
    .description(
      "print the dead letters of a topic that were not redriven, with where they came from and why",
    )
    .option("--subscription <name>", "those of this subscription only")
    .option("--limit <n>", "so many at most", integerArgument(1, 100_000), 100)
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a dead letter, one a line")
    .action((topic: string, options: DlqOptions & { readonly limit: number }) =>
      run((context) =>
        withClient(context, options, async (client, { signal }) => {
          const { subscription, limit } = options;
          const letters = await client.deadLetters.list(topic, { subscription, limit, signal });
          const lines = options.json === true ? letters.map(deadLetterToJson) : deadLetterText(letters);
          await printLines(context, lines);
          return EXIT.OK;
        }),
      ),
    );
}

function registerRedrive(parent: Command, run: RunCommand): void {
  parent
    .command("redrive <topic>")
    .description("give dead letters back to the subscriptions that they came from")
    .option("--subscription <name>", "those of this subscription only")
    .option(
      "--only <partition:offset...>",
      "these only, as dlq list prints them",
      (text, previous: readonly Place[] | undefined) => [...(previous ?? []), placeArgument(text)],
    )
    .option("--reason <reason>", "those that died for this reason only")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object")
    .action(
      (topic: string, options: DlqOptions & { readonly only?: readonly Place[]; readonly reason?: string }) =>
        run((context) =>
          withClient(context, options, async (client, { signal }) => {
            const { subscription, only, reason } = options;
            const select = (letter: DeadLetter): boolean =>
              (reason === undefined || letter.reason === reason) &&
              (only === undefined ||
                only.some(
                  ([partition, offset]) => letter.partition === partition && letter.offset === offset,
                ));
            const redriven = await client.deadLetters.redrive(topic, { subscription, select, signal });
            await printLines(context, [
              options.json === true ? JSON.stringify({ topic, redriven }) : `redriven ${redriven}`,
            ]);
            return EXIT.OK;
          }),
        ),
    );
}

function placeArgument(text: string): Place {
  const match = /^(\d{1,4}):(\d{1,16})$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must be partition:offset, such as 0:17.");
  return [Number(match[1]), Number(match[2])];
}
