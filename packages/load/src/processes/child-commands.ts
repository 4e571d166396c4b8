/**
 * The child's side of a process or thread that is asked things by its parent and gives one answer per question.
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

/** The channel to the parent. */
export interface CommandPort {
  send(reply: CommandReply): void;
  onRequest(listener: (request: CommandRequest) => void): void;
}

/** Answers the parent's commands from now on, and ends the process when the parent is gone. */
export function serveCommands<C extends CommandTable<C>>(commands: C): void {
  // A parent that was killed cannot end its children: the closed channel does.
  process.on("disconnect", () => process.kill(process.pid));
  process.on("uncaughtException", reportFailure);
  process.on("unhandledRejection", reportFailure);
  serveCommandsOn(PARENT, commands);
}

/** The same over any channel, for threads. */
export function serveCommandsOn<C extends CommandTable<C>>(port: CommandPort, commands: C): void {
  port.onRequest((request) => void answer(port, commands, request));
  port.send({ ready: true });
}

/** Tells the parent about something that went wrong outside any command: its next question will fail. */
export function reportFailure(error: unknown): void {
  PARENT.send({ failure: describeError(error) });
}

export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const PARENT: CommandPort = {
  send(reply) {
    if (process.connected) process.send?.(reply);
  },
  onRequest(listener) {
    process.on("message", (message) => listener(message as CommandRequest));
  },
};

async function answer<C extends CommandTable<C>>(
  port: CommandPort,
  commands: C,
  request: CommandRequest,
): Promise<void> {
  const { id, name, args } = request;
  try {
    const command = commands[name as keyof C] as unknown as ((args: unknown) => unknown) | undefined;
    if (command === undefined) throw new Error(`unknown command: name=${name}`);
    port.send({ id, result: (await command(args)) ?? null });
  } catch (error) {
    port.send({ id, error: describeError(error) });
  }
}
