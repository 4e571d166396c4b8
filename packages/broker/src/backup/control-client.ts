import { setTimeout as sleep } from "node:timers/promises";
import { BROKER_LIMITS } from "../limits.ts";
import { FolderLock } from "../node/folder-lock.ts";
import { BackupError, type BackupErrorCode } from "./backup-error.ts";
import { CONTROL_VERSION } from "./control-server.ts";
import { LineChannel, objectOfLine } from "./line-channel.ts";

const ANSWER_TIMEOUT_MS = 5_000;
const TRIES_MAX = 20;
const TRY_AGAIN_MS = 50;

/** A connection to the process that holds a data folder. */
export class ControlClient {
  readonly #channel: LineChannel;
  /** What the holder says of itself: `holding pid=… version=…`. */
  readonly holder: string;

  private constructor(channel: LineChannel, holder: string) {
    this.#channel = channel;
    this.holder = holder;
  }

  /**
   * Gives `command`, with what it takes besides, to the holder of the folder; undefined when nobody holds it.
   * @throws BackupError BROKER_GONE, TIMEOUT; MillraceError DATA_DIR_UNUSABLE
   */
  static async request(
    dataDir: string,
    command: string,
    params: object = {},
  ): Promise<ControlClient | undefined> {
    for (let tries = 1; ; tries += 1) {
      const client = await ControlClient.#requestOnce(dataDir, {
        ...params,
        version: CONTROL_VERSION,
        command,
      });
      // Whoever only tries to get the lock will hold it, or give way, in a moment.
      if (client === undefined || client.holder.startsWith("holding") || tries === TRIES_MAX) return client;
      client.close();
      await sleep(TRY_AGAIN_MS);
    }
  }

  static async #requestOnce(dataDir: string, request: object): Promise<ControlClient | undefined> {
    const socket = await FolderLock.connectToHolder(dataDir);
    if (socket === undefined) return undefined;
    const channel = new LineChannel(socket, BROKER_LIMITS.controlLineBytesMax);
    try {
      // Not after the answer: who asks nothing for a while only wanted to know who holds the lock.
      channel.send(request);
      const holder = await channel.next(ANSWER_TIMEOUT_MS);
      if (holder === undefined) throw gone();
      return new ControlClient(channel, holder);
    } catch (error) {
      channel.destroy();
      throw failure(error);
    }
  }

  /** The next line; an error that was answered is thrown. @throws BackupError BROKER_GONE, TIMEOUT, and others */
  async next(timeoutMs: number): Promise<Readonly<Record<string, unknown>>> {
    let line: string | undefined;
    try {
      line = await this.#channel.next(timeoutMs);
    } catch (error) {
      throw failure(error);
    }
    if (line === undefined) throw gone();
    const answer = objectOfLine(line);
    const { error } = answer;
    if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
      throw new BackupError(error.code as BackupErrorCode, String(error.message));
    }
    return answer;
  }

  send(value: object): void {
    this.#channel.send(value);
  }

  close(): void {
    this.#channel.destroy();
  }
}

function failure(cause: unknown): BackupError {
  if (!(cause instanceof BackupError)) return gone(cause);
  if (cause.code !== "TIMEOUT") return cause;
  const message = `the process that holds the data folder does not answer: ${cause.message}`;
  return new BackupError("TIMEOUT", message, { cause });
}

function gone(cause?: unknown): BackupError {
  return new BackupError("BROKER_GONE", "the broker went away", { cause });
}
