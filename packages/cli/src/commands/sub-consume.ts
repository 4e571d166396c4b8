import type { Client, Consumer, Message, PullConsumer } from "@millrace/client";
import { subscriptionSettings } from "../arguments/subscription-settings.ts";
import type { CommandContext } from "../command-context.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import type { Interruption } from "../interruption.ts";
import { gapText } from "../output/gap-text.ts";
import { LineWriter } from "../output/line-writer.ts";
import { messageToJson, valueToOutput } from "../output/record-json.ts";
import type { SubOptions } from "./sub.ts";

/** Messages in hand at a time: printing one is quick, and each would wait for the one before. */
const PREFETCH = 256;
/** Without --ack: what is printed is kept until the end, so that it does not come again meanwhile. */
const KEPT_MAX = 65_535;

/** `millrace sub TOPIC --subscription NAME`: takes part in a subscription until interrupted, or `--count` is reached. */
export async function printMessages(
  context: CommandContext,
  client: Client,
  interruption: Interruption,
  topic: string,
  options: SubOptions,
): Promise<ExitCode> {
  const consumer = client.consume(topic, {
    subscription: options.subscription,
    mode: options.mode,
    // What a subscription that is there already starts from is its own.
    from: options.from,
    ...subscriptionSettings(options),
    prefetch: options.ack ? PREFETCH : KEPT_MAX,
    autoCommit: options.ack,
    onGap: (gap) => context.stderr.write(`${gapText(gap)}\n`),
  });
  const writer = new LineWriter(context.stdout);
  const close = (): void => void consumer.close();
  writer.onClosed(close);
  interruption.signal.addEventListener("abort", close);
  if (interruption.interrupted) close();
  const stopTelling = tellErrors(context, consumer);
  const kept: Message[] = [];
  try {
    const reached = await copyMessages(consumer, writer, options, kept);
    await Promise.allSettled(kept.map((message) => message.release()));
    if (!interruption.interrupted || reached || writer.closed) return EXIT.OK;
    return options.count === undefined ? EXIT.OK : EXIT.INTERRUPTED;
  } finally {
    stopTelling();
    await consumer.close();
  }
}

/** Prints until the consumer or the output ends, or `count` messages are printed: then it returns true. */
async function copyMessages(
  consumer: PullConsumer,
  writer: LineWriter,
  options: SubOptions,
  kept: Message[],
): Promise<boolean> {
  let left = options.count ?? Number.POSITIVE_INFINITY;
  for await (const message of consumer) {
    writer.push(options.json === true ? messageToJson(message) : valueToOutput(message.value));
    // Settled behind the write: what was not printed comes again.
    await writer.flush();
    if (writer.closed) return false;
    if (!options.ack) kept.push(message);
    // It is awaited when the consumer closes; one that fails comes again.
    else void message.ack().catch(() => {});
    left -= 1;
    if (left === 0) return true;
  }
  return false;
}

/** One line when the consumer has to begin anew; what ends it is told by the command's own error. */
function tellErrors(context: CommandContext, consumer: Consumer): () => void {
  return consumer.on("error", ({ error }) => {
    if (error instanceof Error && "retriable" in error && error.retriable === true) {
      context.stderr.write(`${error.message}\n`);
    }
  });
}
