import type { Socket } from "node:net";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { BackupError } from "./backup-error.ts";
import { LineChannel, objectOfLine } from "./line-channel.ts";

/** Raised when requests of an older version would be misunderstood. */
export const CONTROL_VERSION = 1;

/** Carries one command out, and answers on the channel; an error it throws is answered, too. */
export type ControlCommand = (
  channel: LineChannel,
  request: Readonly<Record<string, unknown>>,
) => Promise<void>;

export interface ControlServerOptions {
  readonly commands: ReadonlyMap<string, ControlCommand>;
  readonly logger: Logger;
  /** How long somebody may take to ask; who only wanted the lock's answer says nothing. */
  readonly requestTimeoutMs?: number;
}

/**
 * The control channel of a running broker: whoever may open the socket in its data folder, which is its owner alone, has
 * asked who holds the folder; a line more is a command.
 *
 *     <- holding pid=… version=…                       the lock's answer, always
 *     -> {"version":1,"command":"backup"}
 *     <- {"progress":…} ...                            as the command likes
 *     <- {"result":…}  or  {"error":{"code":…,"message":…}}
 *
 * One command a connection. Main thread.
 */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #channels: Set<LineChannel> = new Set();

  constructor(options: ControlServerOptions) {
    this.#options = options;
  }

  /** A connection, after the lock's answer. */
  accept(socket: Socket): void {
    const channel = new LineChannel(socket, BROKER_LIMITS.controlLineBytesMax);
    this.#channels.add(channel);
    channel.onClose(() => this.#channels.delete(channel));
    void this.#serve(channel);
  }

  async #serve(channel: LineChannel): Promise<void> {
    let command = "";
    try {
      if (this.#channels.size > BROKER_LIMITS.controlConnectionsMax) {
        throw new BackupError(
          "TOO_MANY_CONNECTIONS",
          `at most ${BROKER_LIMITS.controlConnectionsMax} connections at a time`,
        );
      }
      const line = await this.#firstLine(channel);
      if (line === undefined) return;
      const request = objectOfLine(line);
      if (request.version !== CONTROL_VERSION) {
        throw new BackupError(
          "UNSUPPORTED_VERSION",
          `version must be ${CONTROL_VERSION}: version=${String(request.version)}`,
        );
      }
      command = String(request.command);
      const run = this.#options.commands.get(command);
      if (run === undefined) throw new BackupError("UNKNOWN_COMMAND", `no such command: ${command}`);
      await run(channel, request);
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown };
      if (command !== "") {
        this.#options.logger.log("warn", "control-command-failed", { command, code, error: message });
      }
      channel.send({
        error: { code: typeof code === "string" ? code : "INTERNAL", message: String(message ?? error) },
      });
    } finally {
      channel.end();
    }
  }

  /** Undefined when nothing was asked. */
  async #firstLine(channel: LineChannel): Promise<string | undefined> {
    try {
      return await channel.next(this.#options.requestTimeoutMs ?? BROKER_LIMITS.controlRequestTimeoutMs);
    } catch (error) {
      if (error instanceof BackupError && error.code !== "TIMEOUT") throw error;
      return undefined;
    }
  }
}
