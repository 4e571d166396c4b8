import { type Command, Option } from "commander";
import { byteCountArgument, durationArgumentMs, integerArgument } from "../arguments/numeric-argument.ts";
import { durabilityOption } from "../arguments/topic-settings.ts";
import { tlsCaOption, urlOption } from "../arguments/url-argument.ts";
import type { BenchKind } from "../bench/bench-plan.ts";
import type { BenchOptions } from "../bench/run-bench.ts";
import { withClient } from "../client-session.ts";
import type { RunCommand } from "../command-context.ts";

const KINDS: readonly (readonly [BenchKind, string])[] = [
  ["pub", "publish, and count what is acknowledged"],
  ["sub", "read a topic from its beginning; without --topic one is filled first"],
  ["e2e", "publish and consume live: rate, and latency from the producer to the consumers"],
  ["queue", "publish, deliver to the consumers of one queue, acknowledge"],
  ["keyed", "the same in mode keyed: in order per key"],
  ["rpc", "requests and replies: --producers ask, --consumers answer"],
];

const HELP = `
It makes a topic of its own and deletes it at the end; with --topic it uses that one, makes it if it is missing, and leaves it.
Without --rate the load is as much as is taken: the latencies are then those of full queues. With --rate it is sent at a fixed
schedule, and latencies count from the moment at which a record was to be sent, so that a stall is not left out.
Load generators run in threads (or processes) of this command; on the broker's own machine they take part of its cores.
--json prints a result document instead of the table: the repository's bench:compare and bench:report read it.

Interrupted (Ctrl-C) it prints the rounds that are complete, and ends with 130.`;

const DEFAULT_VALUE_BYTES = 100;
const DEFAULT_BATCH_BYTES = 65_536;
const DEFAULT_FILL_RECORDS = 2_000_000;
const DEFAULT_SLOTS = 1024;
const DEFAULT_KEYS = 1000;
const CONNECTIONS_MAX = 10_000;
const GENERATORS_MAX = 64;
const RECORDS_MAX = 1_000_000_000;
/** `millrace bench KIND` */
export function registerBench(program: Command, run: RunCommand): void {
  const bench = program
    .command("bench")
    .description("measure a running broker: rates and latencies of your own deployment")
    .addHelpText("after", HELP);
  for (const [kind, text] of KINDS) registerKind(bench, kind, text, run);
}

function registerKind(parent: Command, kind: BenchKind, description: string, run: RunCommand): void {
  const connections = integerArgument(1, CONNECTIONS_MAX);
  const command = parent
    .command(kind)
    .description(description)
    .option("--topic <name>", "use this topic (default: one of its own)")
    .addOption(durabilityOption().default("fsynced"))
    .option("--partitions <n>", "of the topic that is made", integerArgument(1, 1024), 1)
    .option("--value <size>", "bytes of a value", byteCountArgument(0, 1024 * 1024), DEFAULT_VALUE_BYTES);
  if (kind !== "rpc") {
    command
      .option(
        "--batch <size>",
        "bytes of a batch; 0 = each record a frame",
        byteCountArgument(0, 1024 * 1024),
        DEFAULT_BATCH_BYTES,
      )
      .option("--linger <duration>", "how long a batch waits to be filled", durationArgumentMs(60_000), 1);
  }
  if (kind !== "sub") command.option("--producers <n>", "connections that publish or ask", connections, 1);
  if (kind !== "pub") command.option("--consumers <n>", "connections that consume or answer", connections, 1);
  if (kind !== "sub")
    command.option(
      "--rate <n>",
      "a second, all together (default: as much as is taken)",
      integerArgument(1, RECORDS_MAX),
    );
  if (kind === "sub")
    command.option(
      "--fill <n>",
      "records of the topic that is made",
      integerArgument(1, RECORDS_MAX),
      DEFAULT_FILL_RECORDS,
    );
  if (kind === "keyed")
    command.option("--keys <n>", "different keys, in turn", integerArgument(1, 1_000_000), DEFAULT_KEYS);
  if (kind === "queue" || kind === "keyed" || kind === "rpc") {
    command.option(
      "--slots <n>",
      "messages or requests in hand at a time, each connection",
      integerArgument(1, 65_535),
      DEFAULT_SLOTS,
    );
  }
  if (kind !== "sub") {
    command
      .option("--duration <duration>", "of a round", durationArgumentMs(86_400_000), 10_000)
      .option(
        "--warm-up <duration>",
        "load before a round is measured",
        durationArgumentMs(3_600_000),
        2_000,
      );
  }
  command
    .option("--rounds <n>", "rounds; the median is printed too", integerArgument(1, 100), 3)
    .addOption(
      new Option("--generators <kind>", "where the load is made")
        .choices(["threads", "processes"])
        .default("threads"),
    )
    .option(
      "--generators-max <n>",
      "threads or processes of producers, and of consumers",
      integerArgument(1, GENERATORS_MAX),
      1,
    )
    .addOption(urlOption())
    .addOption(tlsCaOption())
    .option("--json", "print a result document")
    .action((options: BenchOptions) =>
      run(async (context) => {
        // Loaded only when it is wanted: no other command shall wait for it.
        const { runBench } = await import("../bench/run-bench.ts");
        return withClient(context, options, (client, interruption) =>
          runBench(kind, options, context, client, interruption),
        );
      }),
    );
}
