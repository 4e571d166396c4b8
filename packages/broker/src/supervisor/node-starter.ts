import { createHash } from "node:crypto";
import type { Logger } from "../logger.ts";
import { VERSION } from "../version.ts";
import { type NodeFile, readNodeFile, removeNodeFile, writeNodeFile } from "./node-file.ts";
import { type NodeProcess, spawnNode } from "./node-process.ts";
import { identityOf } from "./process-identity.ts";
import type { NodeSettings, SupervisorOptions } from "./supervisor-options.ts";

/** Starts the processes of nodes, with what they are told, and keeps the files that name them. */
export class NodeStarter {
  /** What nodes that are started from now on are told besides. */
  settings: Readonly<Record<string, unknown>>;
  readonly #options: SupervisorOptions;
  readonly #port: number;
  readonly #outputBytesMax: number;
  readonly #logger: Logger;

  constructor(options: SupervisorOptions, port: number, outputBytesMax: number) {
    this.#options = options;
    this.#port = port;
    this.#outputBytesMax = outputBytesMax;
    this.#logger = options.logger;
    this.settings = options.settings;
  }

  /** Of all that nodes are told: those that were told otherwise have to be restarted. */
  get fingerprint(): string {
    const text = JSON.stringify([VERSION, this.#options.host, this.#port, this.settings]);
    return createHash("sha256").update(text).digest("hex").slice(0, 16);
  }

  /** @throws the system's error: there is no process then */
  start(nodeId: number): NodeProcess {
    const { dataDir, host, nodeEntry, nodeCommand = [process.execPath] } = this.#options;
    const port = this.#port;
    const options = this.fingerprint;
    const settings: NodeSettings = { dataDir, nodeId, host, port, options, settings: this.settings };
    removeNodeFile(dataDir, nodeId);
    const child = spawnNode({
      dataDir,
      nodeId,
      command: nodeCommand,
      entry: nodeEntry,
      settings,
      outputBytesMax: this.#outputBytesMax,
    });
    try {
      // It writes the same: this is for the moment until then.
      const identity = identityOf(child.pid);
      if (identity !== undefined) writeNodeFile(dataDir, { ...identity, nodeId, port, options });
    } catch (error) {
      this.#logger.log("warn", "node-file-failed", { nodeId, error });
    }
    return child;
  }

  /** Its process is there no longer. @returns what it gave as its reason */
  ended(nodeId: number): NodeFile["failure"] {
    const { dataDir } = this.#options;
    const { failure } = readNodeFile(dataDir, nodeId) ?? {};
    try {
      removeNodeFile(dataDir, nodeId);
    } catch (error) {
      this.#logger.log("warn", "node-file-failed", { nodeId, error });
    }
    return failure;
  }
}
