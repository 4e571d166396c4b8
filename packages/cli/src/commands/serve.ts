import type { Command } from "commander";
import { DEFAULT_URL } from "../arguments/url-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import {
  type Configuration,
  changedSettings,
  loadConfiguration,
  reloadedSettings,
} from "../config/configuration.ts";
import { addSettingOptions, type SettingFlags } from "../config/setting-options.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { Interruption } from "../interruption.ts";
import { type BrokerLog, createBrokerLog } from "../output/broker-log.ts";
import { Reloading } from "./reloading.ts";
import { type ServedBroker, serveBroker } from "./serve-broker.ts";

/** As commander has them. */
type ServeFlags = SettingFlags & { readonly config?: string };

/** SIGTERM must have ended the process within 10 s; what is left is for Node to go down. */
const DRAIN_TIMEOUT_MS = 9_500;

const HELP = `
Each option can also stand in the file of --config, under its name without the dashes ("retention-total: 200GiB"), and in the
environment, in capitals behind MILLRACE_ (MILLRACE_RETENTION_TOTAL=200GiB). The command line goes before the environment, and
that before the file. "millrace config check" shows what applies, and where from. --no-insecure and --no-auto-create turn off
what a file turns on. All of it is in docs/reference/configuration.md.

It prints where it listens once it does; with --log-format json that is a line with "event":"listening" and "url".
With --nodes it is a supervisor: it keeps so many processes alive, which serve on without it, until the next one adopts them.
"millrace restart", or SIGHUP, reads the configuration again and restarts them one by one.
SIGTERM and SIGINT drain: no new work, pending acknowledgements are sent, a checkpoint is written, exit 0 within 10 s.
A second signal, half a second later or more, exits at once with 130, as safe as a crash. A start that fails prints
"error CODE: message" and exits with 1; the codes are in docs/reference/cli.md.`;

/** `millrace serve` */
export function registerServe(program: Command, run: RunCommand): void {
  const command = program.command("serve").description("run a broker").addHelpText("after", HELP);
  addSettingOptions(command);
  command.action((flags: ServeFlags) => run((context) => serve(context, flags)));
}

async function serve(context: CommandContext, { config: file, ...flags }: ServeFlags): Promise<ExitCode> {
  // Loaded again, it is what has become of the file.
  const load = (): Configuration => loadConfiguration({ flags, env: context.env, file });
  const { settings, warnings } = load();
  // A log that nobody reads any more must not end the broker.
  context.stdout.on("error", () => {});
  const print = (line: string): void => void context.stdout.write(`${line}\n`);
  const logger = createBrokerLog(print, settings.logFormat, context.clock);
  const warn = (texts: readonly string[]): void => {
    for (const warning of texts) logger.log("warn", "configuration", { warning });
  };
  let taken = settings;
  const reload = (): Settings => {
    const again = load();
    warn(again.warnings);
    for (const change of changedSettings(taken, again.settings)) {
      logger.log(change.applies === "reload" ? "info" : "warn", "setting-changed", { ...change });
    }
    taken = reloadedSettings(settings, again.settings);
    return taken;
  };
  warn(warnings);
  const interruption = new Interruption(context.signals, context.clock);
  const reloading = new Reloading(context, logger);
  try {
    const { broker, topology } = await serveBroker(context, settings, logger, reload, interruption.signal);
    reloading.begin(broker);
    if (settings.logFormat === "json") logger.log("info", "topology", { ...topology });
    else print(topology.reason);
    if (settings.logFormat === "json") logger.log("info", "listening", { url: broker.url });
    else for (const line of listeningText(broker.url, settings.data)) print(line);
    const failure = await Promise.race([interrupted(interruption.signal), reloading.hungUp, broker.ended]);
    await drain(broker, logger);
    if (failure !== undefined) throw failure;
    return EXIT.OK;
  } catch (error) {
    if (!isBrokenOff(error, interruption)) throw error;
    logger.log("info", "closed");
    return EXIT.OK;
  } finally {
    reloading.dispose();
    interruption.dispose();
  }
}

/** Whoever ends a broker that starts has ended it in order. */
function isBrokenOff(error: unknown, { interrupted }: Interruption): boolean {
  return interrupted && (error as { readonly code?: unknown }).code === "SERVER_DRAINING";
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

async function interrupted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function drain(broker: Pick<ServedBroker, "close">, logger: BrokerLog): Promise<void> {
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
