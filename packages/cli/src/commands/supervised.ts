import type { Command } from "commander";
import { integerArgument } from "../arguments/numeric-argument.ts";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { LineWriter } from "../output/line-writer.ts";

interface SupervisedOptions {
  readonly data: string;
  readonly json?: boolean;
}

interface MoveOptions extends SupervisedOptions {
  readonly to: number;
}

/** A supervisor says so often that it is still at it, with room for a busy machine. */
const SILENCE_MS_MAX = 60_000;

const RESTART_HELP = `
Each node's shards are moved to the others, it drains, ends, is started anew and gets its share back before it is the next
one's turn: clients are sent to another node, and nothing is refused for longer than a shard takes to move. The configuration
is read again for it, as SIGHUP to the supervisor does; a new release is in use afterwards, except by the supervisor itself. It
waits until all have been restarted.`;

const MOVE_HELP = `
The shard stays there, and goes back there when the node was restarted, as long as this supervisor lives.`;

/** `millrace restart` */
export function registerRestart(program: Command, run: RunCommand): void {
  program
    .command("restart")
    .description("restart the nodes of a cluster one by one")
    .option("--data <folder>", "the data folder", "./millrace-data")
    .option("--json", "print a JSON object")
    .addHelpText("after", RESTART_HELP)
    .action((options: SupervisedOptions) => run((context) => restart(context, options)));
}

/** `millrace shard …` */
export function registerShard(program: Command, run: RunCommand): void {
  program
    .command("shard")
    .description("say which node of a cluster has a shard")
    .command("move <shard>")
    .description("move a shard to another node")
    .requiredOption("--to <node>", "number of the node", integerArgument(0, 126))
    .option("--data <folder>", "the data folder", "./millrace-data")
    .option("--json", "print a JSON object")
    .addHelpText("after", MOVE_HELP)
    .action((shard: string, options: MoveOptions) => run((context) => move(context, shard, options)));
}

async function restart(context: CommandContext, { data, json }: SupervisedOptions): Promise<ExitCode> {
  await ask(data, "restart", {});
  return print(context, json === true ? JSON.stringify({ restarted: true }) : "all nodes were restarted");
}

async function move(
  context: CommandContext,
  shard: string,
  { data, to, json }: MoveOptions,
): Promise<ExitCode> {
  if (!/^\d{1,4}$/.test(shard)) throw new CommandError("USAGE", `a shard has a number: ${shard}`);
  const shardId = Number(shard);
  const { nodeId } = await ask(data, "move", { shardId, nodeId: to });
  if (nodeId !== to) {
    throw new CommandError("NOT_MOVED", `shard ${shardId} could not be opened there: node ${nodeId} has it`);
  }
  return print(
    context,
    json === true ? JSON.stringify({ shardId, nodeId }) : `shard ${shardId} is at node ${nodeId}`,
  );
}

async function print(context: CommandContext, line: string): Promise<ExitCode> {
  const writer = new LineWriter(context.stdout);
  writer.push(line);
  await writer.flush();
  return EXIT.OK;
}

/** What the supervisor of the folder answers. */
async function ask(
  data: string,
  command: string,
  params: object,
): Promise<Readonly<Record<string, unknown>>> {
  const { ControlClient, folderUse } = await import("@millrace/broker/internal");
  const client = await ControlClient.request(data, command, params);
  if (client === undefined) {
    const { nodePids } = await folderUse(data);
    const who =
      nodePids.length > 0 ? `nodes serve ${data}, but no supervisor runs` : `nobody runs on ${data}`;
    throw new CommandError("NO_SUPERVISOR", `${who}: start one with "millrace serve --nodes N"`);
  }
  try {
    for (;;) {
      const { result } = await client.next(SILENCE_MS_MAX);
      if (result !== undefined) return result as Readonly<Record<string, unknown>>;
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== "UNKNOWN_COMMAND") throw error;
    throw new CommandError("NO_SUPERVISOR", `a broker of one process runs on ${data}: restart that itself`);
  } finally {
    client.close();
  }
}
