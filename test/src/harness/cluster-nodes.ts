import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LogLine } from "./broker-process.ts";
import { ForeignProcess } from "./foreign-process.ts";

const open: Set<ClusterNodes> = new Set();

// Teardown ends them; this is for a test that is itself ended in the middle.
process.on("exit", () => {
  for (const nodes of open) nodes.signalAll("SIGKILL");
});

/**
 * The node processes of a supervisor: those that it says it has started, and those that say in the data folder that they run, which
 * an earlier one may have left. They outlive it, if nobody ends them.
 */
export class ClusterNodes {
  readonly #dataDir: string;
  readonly #log: () => readonly LogLine[];
  readonly #known: Map<number, ForeignProcess> = new Map();
  readonly #latest: Map<number, ForeignProcess> = new Map();

  /** `log`: what the supervisor has logged so far. */
  constructor(dataDir: string, log: () => readonly LogLine[]) {
    this.#dataDir = dataDir;
    this.#log = log;
    open.add(this);
  }

  /** The process of each node, as far as is known. */
  get byId(): ReadonlyMap<number, ForeignProcess> {
    this.#read();
    return this.#latest;
  }

  /** Sends it to all that still run. */
  signalAll(name: NodeJS.Signals): void {
    this.#read();
    for (const process of this.#known.values()) process.signal(name);
  }

  async killAll(): Promise<void> {
    this.signalAll("SIGKILL");
    for (const process of this.#known.values()) await process.kill();
  }

  /** Nothing more is to be done at the end of this process. */
  close(): void {
    open.delete(this);
  }

  #read(): void {
    for (const { event, nodeId, pid } of this.#log())
      if (event === "node-started") this.#add(Number(nodeId), Number(pid));
    for (const name of namesIn(this.#dataDir, /^node-\d+\.json$/)) {
      const { nodeId, pid } = JSON.parse(readFileSync(join(this.#dataDir, name), "utf8")) as Record<
        string,
        unknown
      >;
      this.#add(Number(nodeId), Number(pid));
    }
  }

  #add(nodeId: number, pid: number): void {
    const process = this.#known.get(pid) ?? new ForeignProcess(pid);
    this.#known.set(pid, process);
    this.#latest.set(nodeId, process);
  }
}

function namesIn(folder: string, pattern: RegExp): string[] {
  try {
    return readdirSync(folder).filter((name) => pattern.test(name));
  } catch {
    return [];
  }
}

/** What the nodes of a data folder have logged since `sinceMs`, in no particular order of nodes. */
export function nodeLogLines(dataDir: string, sinceMs: number): LogLine[] {
  const folder = join(dataDir, "logs");
  return namesIn(folder, /^node-\d+\.log/)
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"))
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line) as LogLine)
    .filter(({ time }) => Date.parse(time) >= sinceMs);
}
