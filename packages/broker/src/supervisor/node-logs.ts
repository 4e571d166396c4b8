import { copyFileSync, statSync, truncateSync } from "node:fs";
import type { Logger, LogLevel } from "../logger.ts";
import { LogFollower } from "./log-follower.ts";
import { nodeLogPath, nodeOutputPath } from "./node-process.ts";
import type { SupervisorLimits } from "./supervisor-limits.ts";

const LEVELS: ReadonlySet<unknown> = new Set<LogLevel>(["debug", "info", "warn", "error"]);

/** Passes on what the nodes write into their log files, under their number. */
export class NodeLogs {
  readonly #dataDir: string;
  readonly #logger: Logger;
  readonly #outputBytesMax: number;
  readonly #followers: Map<number, readonly LogFollower[]> = new Map();
  readonly #timer: NodeJS.Timeout;

  constructor(dataDir: string, logger: Logger, limits: Pick<SupervisorLimits, "logPollMs" | "logBytesMax">) {
    this.#dataDir = dataDir;
    this.#logger = logger;
    this.#outputBytesMax = limits.logBytesMax;
    this.#timer = setInterval(() => this.look(), limits.logPollMs);
  }

  /** From the files' present end on. */
  follow(nodeId: number): void {
    if (this.#followers.has(nodeId)) return;
    this.#followers.set(nodeId, [
      new LogFollower(nodeLogPath(this.#dataDir, nodeId), (line) => this.#passOn(nodeId, line)),
      new LogFollower(nodeOutputPath(this.#dataDir, nodeId), (text) =>
        this.#logger.log("warn", "node-output", { node: nodeId, text }),
      ),
    ]);
  }

  look(): void {
    for (const [nodeId, followers] of this.#followers) {
      for (const follower of followers) follower.look();
      emptyGrown(nodeOutputPath(this.#dataDir, nodeId), this.#outputBytesMax);
    }
  }

  close(): void {
    this.look();
    clearInterval(this.#timer);
    for (const followers of this.#followers.values()) for (const follower of followers) follower.close();
    this.#followers.clear();
  }

  #passOn(nodeId: number, line: string): void {
    let entry: Readonly<Record<string, unknown>>;
    try {
      entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
    } catch {
      this.#logger.log("warn", "node-output", { node: nodeId, text: line });
      return;
    }
    const { time: _, level, event, ...fields } = entry;
    const known = LEVELS.has(level) ? (level as LogLevel) : "info";
    this.#logger.log(known, String(event), { node: nodeId, ...fields });
  }
}

/**
 * What a process prints goes on into the file that it was started with, whatever its name: that one is emptied, once its text is
 * in the old one. Does not throw: a full disk is no reason to stop, and one to empty it all the same.
 */
function emptyGrown(path: string, bytesMax: number): void {
  try {
    if (statSync(path).size < bytesMax) return;
  } catch {
    return;
  }
  try {
    copyFileSync(path, `${path}.1`);
  } catch {}
  try {
    truncateSync(path);
  } catch {}
}
