import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { identityOf, isRunning, kill, type ProcessIdentity } from "./process-identity.ts";

/** Of a node's log, and of what its process prints besides, in the data folder. */
export function nodeLogPath(dataDir: string, nodeId: number): string {
  return join(dataDir, "logs", `node-${nodeId}.log`);
}

export function nodeOutputPath(dataDir: string, nodeId: number): string {
  return join(dataDir, "logs", `node-${nodeId}.out`);
}

/** Holds a node's settings, as JSON: an argument would show them to everybody on the machine. */
export const NODE_SETTINGS_VARIABLE = "MILLRACE_NODE";

/** How a process ended, for people. */
export type ProcessEnd = Readonly<Record<string, unknown>>;

/** The process of a node, in its one life. */
export interface NodeProcess {
  readonly pid: number;
  /** Resolves when it is there no longer, none of its threads either. */
  readonly ended: Promise<ProcessEnd>;
  /** It has said hello with its pid: it is a node. */
  greeted(): void;
  /**
   * SIGKILL, which is not to be ignored; `ended` follows. Not sent to a process of which nothing but a file says that it is
   * a node, and which may be any that got the pid since: then `ended` follows when it ends by itself.
   */
  kill(): void;
  /** It may have ended: looks more often. */
  hurry(): void;
  /** Nobody waits for its end any more. */
  forget(): void;
}

export interface SpawnOptions {
  readonly dataDir: string;
  readonly nodeId: number;
  /** What runs the entry: Node, unless a test puts something before it. */
  readonly command: readonly string[];
  readonly entry: URL;
  readonly settings: object;
  readonly outputBytesMax: number;
}

/**
 * Starts a node in a session of its own: it shares neither the terminal nor a pipe with us, so that neither a Ctrl-C nor our
 * end reaches it. @throws the system's error
 */
export function spawnNode(options: SpawnOptions): NodeProcess {
  const { dataDir, nodeId, command, entry, settings } = options;
  mkdirSync(join(dataDir, "logs"), { recursive: true, mode: 0o700 });
  const output = nodeOutputPath(dataDir, nodeId);
  makeRoom(output, options.outputBytesMax);
  const fd = openSync(output, "a", 0o600);
  try {
    const [program = process.execPath, ...args] = command;
    const child = spawn(program, [...args, fileURLToPath(entry)], {
      detached: true,
      stdio: ["ignore", fd, fd],
      env: { ...process.env, [NODE_SETTINGS_VARIABLE]: JSON.stringify(settings) },
    });
    child.unref();
    return new ChildNode(child);
  } finally {
    closeSync(fd);
  }
}

/** Keeps one old file, so that what is printed has a bound. */
function makeRoom(path: string, bytesMax: number): void {
  try {
    if (statSync(path).size >= bytesMax) renameSync(path, `${path}.1`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

class ChildNode implements NodeProcess {
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) => {
      // It was never there: what the system lacked (memory, processes) may be there later.
      child.once("error", (error) => {
        if (child.pid === undefined) resolve({ error: error.message });
      });
      child.once("exit", (exitCode, signal) =>
        resolve({ pid: child.pid, ...(signal === null ? { exitCode } : { signal }) }),
      );
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  greeted(): void {}

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  hurry(): void {}

  forget(): void {
    this.#child.removeAllListeners("exit");
  }
}

const LOOK_MS = 500;
const HURRY_MS = 5;
/** What takes longer is not about to happen. */
const HURRIED_LOOKS = 1_000;

/** A node that somebody else has started: the system does not tell us of its end. */
export class AdoptedNode implements NodeProcess {
  readonly ended: Promise<ProcessEnd>;
  readonly #identity: ProcessIdentity;
  #end: (end: ProcessEnd) => void = () => {};
  #isKnown: boolean;
  #timer: NodeJS.Timeout;

  constructor(identity: ProcessIdentity) {
    this.#identity = identity;
    this.#isKnown = identity.startTime !== "";
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  get pid(): number {
    return this.#identity.pid;
  }

  greeted(): void {
    this.#isKnown = true;
  }

  kill(): void {
    if (this.#isKnown) kill(this.#identity);
    this.hurry();
  }

  hurry(): void {
    clearInterval(this.#timer);
    let looks = 0;
    this.#timer = setInterval(() => {
      looks += 1;
      if (looks === HURRIED_LOOKS) {
        clearInterval(this.#timer);
        this.#timer = setInterval(() => this.#look(), LOOK_MS);
      }
      this.#look();
    }, HURRY_MS);
    this.#look();
  }

  forget(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (isRunning(this.#identity)) return;
    clearInterval(this.#timer);
    this.#end({ pid: this.pid });
  }
}

/** What a node writes down of itself when it starts. */
export function ownIdentity(): ProcessIdentity {
  return identityOf(process.pid) ?? { pid: process.pid, startTime: "" };
}
