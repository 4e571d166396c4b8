import type { Writable } from "node:stream";
import { CommandError } from "../command-error.ts";

const FLUSH_BYTES = 64 * 1024;
const NEWLINE = Buffer.from("\n");

/**
 * Lines to a stream, gathered into writes of about 64 KiB. When the reader goes away (`| head`) the writer is
 * `closed` and swallows what follows: that is a normal end, not an error.
 */
export class LineWriter {
  readonly #stream: Writable;
  #parts: Uint8Array[] = [];
  #pendingBytes = 0;
  #closed = false;
  #failure: Error | undefined;
  #onClosed: (() => void) | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => this.#fail(error));
  }

  /** True once nobody reads any more, or writing failed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True when the gathered lines should be flushed before more are added. */
  get full(): boolean {
    return this.#pendingBytes >= FLUSH_BYTES;
  }

  /** Called once when the reader has gone. */
  onClosed(listener: () => void): void {
    this.#onClosed = listener;
  }

  /** Gathers a line; `line` must not change before the next flush. */
  push(line: string | Uint8Array): void {
    if (this.#closed) return;
    const bytes = typeof line === "string" ? Buffer.from(line) : line;
    this.#parts.push(bytes, NEWLINE);
    this.#pendingBytes += bytes.length + 1;
  }

  /** Writes what was gathered and waits until the stream has taken it. Throws OUTPUT_FAILED (full disk, say). */
  async flush(): Promise<void> {
    if (this.#pendingBytes > 0 && !this.#closed) {
      const bytes = Buffer.concat(this.#parts, this.#pendingBytes);
      this.#parts = [];
      this.#pendingBytes = 0;
      await new Promise<void>((resolve) => {
        this.#stream.write(bytes, (error) => {
          if (error) this.#fail(error);
          resolve();
        });
      });
    }
    if (this.#failure !== undefined) {
      throw new CommandError("OUTPUT_FAILED", this.#failure.message, { cause: this.#failure });
    }
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts = [];
    this.#pendingBytes = 0;
    const readerGone = error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED";
    if (!readerGone) this.#failure = error;
    this.#onClosed?.();
  }
}
