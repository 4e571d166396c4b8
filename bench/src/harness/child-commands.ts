/**
 * The child's side of a bench process: a yardstick or a generator forked by the harness, which asks it
 * things over the IPC channel and gets one answer per question.
 */

/** What a kind of child can be asked. Arguments and results travel as JSON. */
export type CommandTable<C> = { [K in keyof C]: (args: never) => unknown };

export interface CommandRequest {
  readonly id: number;
  readonly name: string;
  readonly args: unknown;
}

export type CommandReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly ready: true }
  | { readonly failure: string };

/** Answers the parent's commands from now on, and ends the process when the parent is gone. */
export function serveCommands<C extends CommandTable<C>>(commands: C): void {
  // A parent that was killed cannot end its children: the closed channel does.
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message) => void answer(commands, message as CommandRequest));
  process.on("uncaughtException", reportFailure);
  process.on("unhandledRejection", reportFailure);
  reply({ ready: true });
}

/** Tells the parent about something that went wrong outside any command: its next question will fail. */
export function reportFailure(error: unknown): void {
  reply({ failure: describe(error) });
}

async function answer<C extends CommandTable<C>>(commands: C, request: CommandRequest): Promise<void> {
  const { id, name, args } = request;
  try {
    const command = commands[name as keyof C] as unknown as ((args: unknown) => unknown) | undefined;
    if (command === undefined) throw new Error(`unknown command: name=${name}`);
    reply({ id, result: (await command(args)) ?? null });
  } catch (error) {
    reply({ id, error: describe(error) });
  }
}

function reply(message: CommandReply): void {
  if (process.connected) process.send?.(message);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
