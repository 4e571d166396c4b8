import { resolve } from "node:path";
import type { Broker, BrokerOptions } from "@millrace/gateway";
import { type Command, InvalidArgumentError, Option } from "commander";
import { byteSizeArgument, integerArgument } from "../arguments/numeric-argument.ts";
import { DEFAULT_URL } from "../arguments/url-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { Interruption } from "../interruption.ts";
import { type BrokerLog, createBrokerLog, type LogFormat } from "../output/broker-log.ts";

/** `createBroker` of @millrace/gateway, as far as this command goes. */
export type CreateBroker = (options: BrokerOptions) => Promise<Pick<Broker, "url" | "close">>;

interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly shards?: number;
  readonly threads?: number;
  readonly retentionTotal?: number | "none";
  readonly insecure?: boolean;
  readonly allowOrigin?: readonly string[];
  readonly autoCreate?: boolean;
  readonly logFormat: LogFormat;
}

/** SIGTERM must have ended the process within 10 s; what is left is for Node to go down. */
const DRAIN_TIMEOUT_MS = 9_500;

const HELP = `
It prints where it listens once it does; with --log-format json that is a line with "event":"listening" and "url".
SIGTERM and SIGINT drain: no new work, pending acknowledgements are sent, a checkpoint is written, exit 0 within 10 s.
A second signal, half a second later or more, exits at once with 130, as safe as a crash. A start that fails prints
"error CODE: message" and exits with 1; the codes are in docs/reference/cli.md.`;

/** `millrace serve` */
export function registerServe(program: Command, run: RunCommand): void {
  program
    .command("serve")
    .description("run a broker")
    .option("--host <host>", "address to listen on; other than loopback needs --insecure", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 = any that is free", integerArgument(0, 65_535), 7070)
    .option("--data <folder>", "where everything is kept; made if it is not there", "./millrace-data")
    .option(
      "--shards <n>",
      "shards of a new data folder; fixed from then on (default: chosen by the broker)",
      integerArgument(1, 1024),
    )
    .option(
      "--threads <n>",
      "threads that the shards run on (default: by the machine)",
      integerArgument(1, 1024),
    )
    .option(
      "--retention-total <size>",
      "bytes that all topics may take together, such as 200GiB; past it the oldest records go first; none = no bound (default: 80 % of the volume)",
      retentionTotalArgument,
    )
    .option("--insecure", "allow a host other than loopback although there is no authentication")
    .option("--allow-origin <origin...>", "accept browsers from these origins; * = from any")
    .option("--auto-create", "create a topic when it is first used")
    .addOption(
      new Option("--log-format <format>", "how to log, on standard output")
        .choices(["pretty", "json"])
        .default("pretty"),
    )
    .addHelpText("after", HELP)
    .action((options: ServeOptions) => run((context) => serve(context, options)));
}

async function serve(context: CommandContext, options: ServeOptions): Promise<ExitCode> {
  // A log that nobody reads any more must not end the broker.
  context.stdout.on("error", () => {});
  const print = (line: string): void => void context.stdout.write(`${line}\n`);
  const logger = createBrokerLog(print, options.logFormat, context.clock);
  const interruption = new Interruption(context.signals, context.clock);
  try {
    const broker = await start(context, options, logger);
    if (options.logFormat === "json") logger.log("info", "listening", { url: broker.url });
    else for (const line of listeningText(broker.url, options.data)) print(line);
    await interrupted(interruption.signal);
    await drain(broker, logger);
    return EXIT.OK;
  } finally {
    interruption.dispose();
  }
}

async function start(
  context: CommandContext,
  options: ServeOptions,
  logger: BrokerLog,
): Promise<Pick<Broker, "url" | "close">> {
  try {
    const createBroker = await context.loadBroker();
    return await createBroker({
      dataDir: resolve(options.data),
      host: options.host,
      port: options.port,
      shards: options.shards,
      shardThreads: options.threads,
      retentionTotalBytes: options.retentionTotal === "none" ? 0 : options.retentionTotal,
      insecure: options.insecure,
      allowOrigins: options.allowOrigin,
      autoCreateTopics: options.autoCreate,
      logger,
    });
  } catch (error) {
    // For whoever reads the log by machine; for people the command's own last line is enough.
    if (options.logFormat === "json") logger.log("error", "start-failed", { error });
    throw error;
  }
}

function retentionTotalArgument(text: string): number | "none" {
  if (text === "none") return text;
  const bytes = byteSizeArgument(text);
  if (bytes !== "unlimited") return bytes;
  throw new InvalidArgumentError('It must be a size such as 200GiB, or "none".');
}

/** Where it listens, and what to try next; both lines work as they are, again and again. */
function listeningText(url: string, data: string): string[] {
  const option = url === DEFAULT_URL ? "" : ` --url ${url}`;
  return [
    `millrace listens on ${url}, data in ${data}`,
    "Try next, in another terminal:",
    `  npx millrace topic create hello --if-not-exists${option} && npx millrace pub hello "first record"${option}`,
    `  npx millrace sub hello --from earliest${option}`,
  ];
}

async function interrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function drain(broker: Pick<Broker, "close">, logger: BrokerLog): Promise<void> {
  logger.log("info", "draining");
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const error = new CommandError("DRAIN_TIMEOUT", `the broker had not closed after ${DRAIN_TIMEOUT_MS} ms`);
    timer = setTimeout(() => reject(error), DRAIN_TIMEOUT_MS);
  });
  try {
    await Promise.race([broker.close(), timeout]);
    logger.log("info", "closed");
  } finally {
    clearTimeout(timer);
  }
}
