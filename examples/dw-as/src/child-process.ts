import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What the servers tell the one who started them. */
export interface ServerMessage {
  readonly published?: number;
  readonly analysed?: number;
  readonly resumedAt?: number;
  readonly handled?: number;
  readonly notices?: number;
}

/** Starts one of this folder's servers as a process of its own. */
export function startServer(name: string, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(`./${name}.js`, import.meta.url)), [...args]);
}

/** Resolves with the first message that `accept` takes; rejects when the process ends before. */
export async function messageFrom(
  server: ChildProcess,
  accept: (message: ServerMessage) => boolean,
): Promise<ServerMessage> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      if (!accept(message as ServerMessage)) return;
      server.off("message", onMessage);
      server.off("exit", onExit);
      resolve(message as ServerMessage);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      reject(new Error(`a server ended too early: exit code ${code}, signal ${signal}`));
    };
    server.on("message", onMessage);
    server.on("exit", onExit);
  });
}

/** Sends a signal, waits for the end, and gives the exit code (null when the signal killed it). */
export async function endProcess(server: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (server.exitCode === null && server.signalCode === null) {
    const exited = once(server, "exit");
    server.kill(signal);
    await exited;
  }
  return server.exitCode;
}
