import type { Socket } from "node:net";
import { BackupError } from "./backup-error.ts";

const NEWLINE = 0x0a;

/**
 * Lines over a socket, in both directions, each at most `lineBytesMax` long. Nothing more is read from the socket while
 * a line waits to be taken, so a peer that talks on and on fills its own buffers, not ours.
 */
export class LineChannel {
  readonly #socket: Socket;
  readonly #lineBytesMax: number;
  /** Bytes that came and are not taken yet; at most one line and what one read added to it. */
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #onClose: (() => void) | undefined;

  constructor(socket: Socket, lineBytesMax: number) {
    this.#socket = socket;
    this.#lineBytesMax = lineBytesMax;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      if (this.#bytes.length > lineBytesMax || this.#bytes.includes(NEWLINE)) socket.pause();
      this.#wake?.();
    });
    socket.on("end", () => this.#end());
    socket.on("close", () => {
      this.#end();
      this.#onClose?.();
    });
    socket.on("error", (error) => {
      this.#failure = error;
      socket.destroy();
    });
  }

  /** Called once the connection is gone, also when it is gone already. */
  onClose(run: () => void): void {
    this.#onClose = run;
    if (this.#socket.closed) run();
  }

  /**
   * The next line without its end, or undefined when the peer has said its last.
   * @throws BackupError TIMEOUT, LINE_TOO_LONG; what the socket failed with
   */
  async next(timeoutMs: number): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    let late = false;
    try {
      for (;;) {
        const line = this.#take();
        if (line !== undefined) return line;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#ended) return undefined;
        if (late) throw new BackupError("TIMEOUT", `nothing came within ${timeoutMs} ms`);
        this.#socket.resume();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          timer ??= setTimeout(() => {
            late = true;
            this.#wake?.();
          }, timeoutMs);
        });
      }
    } finally {
      clearTimeout(timer);
      this.#wake = undefined;
    }
  }

  /** False once the peer is gone. */
  send(value: object): boolean {
    if (this.#socket.destroyed || !this.#socket.writable) return false;
    this.#socket.write(`${JSON.stringify(value)}\n`);
    return true;
  }

  /** Sends what was written and hangs up, whatever the peer still says. */
  end(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(): string | undefined {
    const end = this.#bytes.indexOf(NEWLINE);
    if (end > this.#lineBytesMax || (end < 0 && this.#bytes.length > this.#lineBytesMax)) {
      throw new BackupError("LINE_TOO_LONG", `a line has at most ${this.#lineBytesMax} bytes`);
    }
    if (end < 0) return undefined;
    const line = this.#bytes.toString("utf8", 0, end);
    this.#bytes = this.#bytes.subarray(end + 1);
    return line;
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}

/** The object that a line holds. @throws BackupError BAD_REQUEST */
export function objectOfLine(line: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BackupError("BAD_REQUEST", "a line is one JSON object");
  }
  return value as Readonly<Record<string, unknown>>;
}
