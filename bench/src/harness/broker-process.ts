import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  type ChildProcesses,
  type MeasuredProcess,
  readThreadNames,
  THREAD_NAMES_MODULE,
  THREAD_NAMES_VARIABLE,
} from "@millrace/load/internal";

/** From bench/dist/src/harness to the repository's root. */
const EXECUTABLE = fileURLToPath(new URL("../../../../packages/cli/bin/millrace.js", import.meta.url));
const START_TIMEOUT_MS = 30_000;
/** What is kept of the broker's output, to be shown with an error. */
const OUTPUT_LINES_MAX = 10;

/** A `millrace serve` process on a free loopback port, as a user would start it. */
export class BrokerProcess {
  readonly pid: number;
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #threadFile: string;
  readonly #output: readonly string[];

  private constructor(child: ChildProcess, url: string, threadFile: string, output: readonly string[]) {
    this.pid = child.pid as number;
    this.url = url;
    this.#child = child;
    this.#threadFile = threadFile;
    this.#output = output;
  }

  /**
   * `options` are further ones of `millrace serve`.
   * @throws Error with the broker's own output when it ends or stays silent instead of listening
   */
  static async start(
    children: ChildProcesses,
    folder: string,
    options: readonly string[] = [],
  ): Promise<BrokerProcess> {
    const threadFile = join(folder, "threads.ndjson");
    const args = ["serve", "--port", "0", "--data", join(folder, "data"), "--log-format", "json", ...options];
    const child = children.spawn(process.execPath, [EXECUTABLE, ...args], {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${THREAD_NAMES_MODULE}`.trim(),
      [THREAD_NAMES_VARIABLE]: threadFile,
    });
    const output: string[] = [];
    const keep = (line: string): void => {
      output.push(line);
      if (output.length > OUTPUT_LINES_MAX) output.shift();
    };
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`broker ${why}\n${output.join("\n")}`));
      const timer = setTimeout(() => fail("does not listen"), START_TIMEOUT_MS);
      const onLine = (line: string): void => {
        keep(line);
        const listening = listeningUrl(line);
        if (listening === undefined) return;
        clearTimeout(timer);
        resolve(listening);
      };
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", onLine);
      createInterface({ input: child.stderr as NodeJS.ReadableStream }).on("line", onLine);
      child.once("error", (error) => fail(`cannot start: ${error.message}`));
      child.once("exit", (code, signal) => fail(`ended: code=${code} signal=${signal}`));
      child.once("exit", () => clearTimeout(timer));
    });
    return new BrokerProcess(child, url, threadFile, output);
  }

  /** The error of a row that failed, and how the broker is, which may be why. */
  explain(error: unknown): Error {
    const { exitCode, signalCode } = this.#child;
    const ended = exitCode !== null || signalCode !== null;
    const state = ended ? `has ended: code=${exitCode} signal=${signalCode}` : "is running";
    const message = error instanceof Error ? error.message : String(error);
    return new Error(`${message}\nthe broker ${state}; it said last:\n${this.#output.join("\n")}`, {
      cause: error,
    });
  }

  /** For CPU accounting. Threads that start later (a restarted shard) count as unnamed. */
  measured(): MeasuredProcess {
    const threadNames = readThreadNames(this.#threadFile, this.pid);
    if (threadNames.has(this.pid)) threadNames.set(this.pid, "main (gateway)");
    return { role: "broker", label: "broker", pid: this.pid, threadNames };
  }
}

function listeningUrl(line: string): string | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const entry = JSON.parse(line) as { event?: unknown; url?: unknown };
    return entry.event === "listening" && typeof entry.url === "string" ? entry.url : undefined;
  } catch {
    return undefined;
  }
}
