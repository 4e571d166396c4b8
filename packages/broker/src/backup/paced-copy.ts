import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../shard/clock.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Shorter pauses than this are saved up. */
const PAUSE_MS_MIN = 5;
/** What a slow stretch leaves unused may be caught up with for so long. */
const BEHIND_MS_MAX = 250;

export interface PacedCopyOptions {
  /** Infinity: as fast as it goes. */
  readonly bytesPerSecond: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** After each piece. */
  readonly onBytes: (bytes: number) => void;
}

/** What was read of a file. */
export interface CopiedFile {
  /** Fewer than were asked for when the file is shorter. */
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Reads files and writes copies of them, all together at most so fast. */
export class PacedCopy {
  readonly #options: PacedCopyOptions;
  readonly #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** When the bytes so far are due. */
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(options: PacedCopyOptions) {
    this.#options = options;
  }

  /** Copies the first `bytes` of a file to a new one, which is durable but for its name. */
  async copy(from: string, to: string, bytes: number): Promise<CopiedFile> {
    const source = await open(from, "r");
    try {
      const target = await open(to, "wx", 0o644);
      try {
        const copied = await this.#run(source, bytes, target);
        await target.sync();
        return copied;
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  /** Reads only. */
  async check(path: string, bytes: number): Promise<CopiedFile> {
    const source = await open(path, "r");
    try {
      return await this.#run(source, bytes, undefined);
    } finally {
      await source.close();
    }
  }

  async #run(source: FileHandle, bytes: number, target: FileHandle | undefined): Promise<CopiedFile> {
    const { signal, onBytes } = this.#options;
    let position = 0;
    const hash = createHash("sha256");
    while (position < bytes) {
      signal.throwIfAborted();
      const wanted = Math.min(CHUNK_BYTES, bytes - position);
      const { bytesRead } = await source.read(this.#chunk, 0, wanted, position);
      if (bytesRead === 0) break;
      const piece = this.#chunk.subarray(0, bytesRead);
      hash.update(piece);
      for (let done = 0; target !== undefined && done < bytesRead; ) {
        const { bytesWritten } = await target.write(piece, done, bytesRead - done, position + done);
        if (bytesWritten === 0) throw new Error("write made no progress");
        done += bytesWritten;
      }
      position += bytesRead;
      onBytes(bytesRead);
      await this.#pace(bytesRead);
    }
    return { bytes: position, sha256: hash.digest("hex") };
  }

  async #pace(bytes: number): Promise<void> {
    const { bytesPerSecond, clock, signal } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs - BEHIND_MS_MAX) + (bytes * 1000) / bytesPerSecond;
    const aheadMs = this.#dueMs - nowMs;
    if (aheadMs >= PAUSE_MS_MIN) await sleep(aheadMs, undefined, { signal });
  }
}
