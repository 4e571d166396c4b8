import type { Client, OutgoingRecord, Producer } from "@millrace/client";
import type { Command } from "commander";
import { headerArgument } from "../arguments/header-argument.ts";
import { integerArgument } from "../arguments/numeric-argument.ts";
import { type BrokerAddress, tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import { withClient } from "../client-session.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { type RecordDefaults, recordOfJson } from "../input/record-line.ts";
import { recordsOfInput, type SourceProgress } from "../input/record-source.ts";
import type { Interruption } from "../interruption.ts";
import { AckPrinter } from "../output/ack-printer.ts";
import { LineWriter } from "../output/line-writer.ts";
import { ProgressBar } from "../output/progress-bar.ts";
import { ackToJson, ackToText } from "../output/record-json.ts";
import { roundedSizeText } from "../output/unit-text.ts";

interface PubOptions extends BrokerAddress {
  readonly key?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly partition?: number;
  readonly ndjson?: boolean;
  readonly json?: boolean;
}

const HELP = `
Without VALUE each line of standard input is a record; its bytes are kept as they are, without the newline.
--ndjson: each line (or VALUE) is a JSON object with value or valueBase64, and optionally key or keyBase64, headers,
headersBase64 and partition, as "millrace sub --json" prints it. A value that is not a string is stored as MessagePack.
--json prints topic, partition, offset and durability of each record, in the order of the input.

The first record that is refused ends the command with 1; what it acknowledged until then is stored. Interrupted
(Ctrl-C) it stops reading, waits up to ten seconds for what it sent, and ends with 130.`;

/** `millrace pub TOPIC [VALUE…]` */
export function registerPub(program: Command, run: RunCommand): void {
  program
    .command("pub <topic> [value...]")
    .description("publish records: the values given, or standard input a record a line")
    .option("--key <key>", "key of every record; the same key keeps its order")
    .option("--header <name=value>", "header of every record; repeat it for more", headerArgument)
    .option("--partition <n>", "partition of every record, instead of one by key", integerArgument(0, 1023))
    .option("--ndjson", "the input is JSON objects")
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a JSON object a record, one a line")
    .addHelpText("after", HELP)
    .action((topic: string, values: string[], options: PubOptions) =>
      run((context) =>
        withClient(context, options, async (client, interruption) => {
          const defaults: RecordDefaults = {
            key: options.key,
            headers: options.header,
            partition: options.partition,
          };
          if (values.length > 0) return publishValues(context, client, topic, values, defaults, options);
          return publishInput(context, client, interruption, topic, defaults, options);
        }),
      ),
    );
}

async function publishValues(
  context: CommandContext,
  client: Client,
  topic: string,
  values: readonly string[],
  defaults: RecordDefaults,
  options: PubOptions,
): Promise<ExitCode> {
  const records = values.map(
    (value, index): OutgoingRecord =>
      options.ndjson === true ? recordOfJson(value, `value ${index + 1}`, defaults) : { ...defaults, value },
  );
  // Nothing else will come: a batch need not wait for company.
  const producer = client.producer(topic, { lingerMs: 0 });
  await producer.ready();
  const printer = new AckPrinter(
    new LineWriter(context.stdout),
    options.json === true ? ackToJson : ackToText,
  );
  for (const record of records) printer.add(producer.send(record));
  await printer.settled();
  return EXIT.OK;
}

async function publishInput(
  context: CommandContext,
  client: Client,
  interruption: Interruption,
  topic: string,
  defaults: RecordDefaults,
  options: PubOptions,
): Promise<ExitCode> {
  const producer = client.producer(topic);
  // An unknown topic is told before anything is read.
  await producer.ready();
  const progress: SourceProgress = { records: 0, bytes: 0 };
  const bar = new ProgressBar(context.stderr, context.clock, context.stdinBytes());
  const input = recordsOfInput(
    context.stdin,
    defaults,
    options.ndjson === true,
    progress,
    interruption.signal,
  );
  const publish = options.json === true ? publishWithAcks : publishInBulk;
  try {
    await publish(context, producer, showProgress(input, progress, bar));
  } finally {
    bar.clear();
    // A command that failed must not wait for the rest of a pipe.
    context.stdin.destroy();
  }
  if (options.json !== true) context.stderr.write(`${summary(progress, bar.elapsedMs())}\n`);
  return interruption.interrupted ? EXIT.INTERRUPTED : EXIT.OK;
}

/** One promise and one printed line a record. */
async function publishWithAcks(
  context: CommandContext,
  producer: Producer,
  input: AsyncIterable<OutgoingRecord[]>,
): Promise<void> {
  const printer = new AckPrinter(new LineWriter(context.stdout), ackToJson);
  for await (const records of input) {
    for (const record of records) {
      if (printer.full) await printer.settled();
      if (!producer.hasRoom) await producer.room();
      printer.add(producer.send(record));
    }
    if (printer.failed) break;
  }
  await printer.settled();
}

/** The fast path: one promise a batch. */
async function publishInBulk(
  _context: CommandContext,
  producer: Producer,
  input: AsyncIterable<OutgoingRecord[]>,
): Promise<void> {
  let failed = false;
  const noticeFailure = (): void => {
    failed = true;
  };
  let batch: Promise<unknown> | undefined;
  for await (const records of input) {
    for (const record of records) {
      if (!producer.hasRoom) await producer.room();
      const promise = producer.append(record);
      if (promise !== batch) promise.catch(noticeFailure);
      batch = promise;
    }
    if (failed) break;
  }
  // Rejects with the first failure, also of batches that settled long ago.
  await producer.flush();
}

async function* showProgress(
  input: AsyncIterable<OutgoingRecord[]>,
  progress: SourceProgress,
  bar: ProgressBar,
): AsyncGenerator<OutgoingRecord[], void, undefined> {
  for await (const records of input) {
    yield records;
    bar.update(progress.records, progress.bytes);
  }
}

function summary(progress: SourceProgress, elapsedMs: number): string {
  const seconds = (elapsedMs / 1000).toFixed(1);
  return `published ${progress.records} records (${roundedSizeText(progress.bytes)}) in ${seconds} s`;
}
