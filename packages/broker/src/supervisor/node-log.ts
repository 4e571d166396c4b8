import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger, LogLevel } from "../logger.ts";
import type { Clock } from "../shard/clock.ts";
import { nodeLogPath } from "./node-process.ts";
import { SUPERVISOR_LIMITS } from "./supervisor-limits.ts";

/**
 * The log of a node's process: JSON lines in a file of its own, since a supervisor that reads a pipe may die. Past its bound
 * the file becomes the old one (`.1`), of which one is kept. Main thread; does not throw: a full disk is no reason to stop.
 */
export class NodeLog implements Logger {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #bytesMax: number;
  #bytes: number;

  constructor(
    dataDir: string,
    nodeId: number,
    clock: Clock,
    bytesMax: number = SUPERVISOR_LIMITS.logBytesMax,
  ) {
    this.#path = nodeLogPath(dataDir, nodeId);
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    this.#bytes = sizeOf(this.#path);
  }

  log(level: LogLevel, event: string, fields: Record<string, unknown> = {}): void {
    if (level === "debug") return;
    const time = new Date(this.#clock.wallMs()).toISOString();
    const line = `${JSON.stringify({ time, level, event, ...fields }, plain)}\n`;
    try {
      if (this.#bytes >= this.#bytesMax) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#bytes = 0;
      }
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#bytes += Buffer.byteLength(line);
    } catch {}
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** JSON shows an Error as {} and refuses a bigint. */
function plain(_name: string, value: unknown): unknown {
  if (value instanceof Error) {
    const code = "code" in value ? value.code : undefined;
    return { name: value.name, code, message: value.message, stack: value.stack };
  }
  return typeof value === "bigint" ? value.toString() : value;
}
