import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ChildProcesses } from "./child-processes.ts";
import type { MeasuredProcess } from "./cpu-accounting.ts";

/** From bench/dist/src/harness to the repository's root. */
const EXECUTABLE = fileURLToPath(new URL("../../../../packages/cli/bin/millrace.js", import.meta.url));
const THREAD_NAMES = new URL("./thread-names.js", import.meta.url).href;
const START_TIMEOUT_MS = 30_000;

/** A `millrace serve` process on a free loopback port, as a user would start it. */
export class BrokerProcess {
  readonly pid: number;
  readonly url: string;
  readonly #threadFile: string;

  private constructor(pid: number, url: string, threadFile: string) {
    this.pid = pid;
    this.url = url;
    this.#threadFile = threadFile;
  }

  /** @throws Error with the broker's own output when it ends or stays silent instead of listening */
  static async start(children: ChildProcesses, folder: string): Promise<BrokerProcess> {
    const threadFile = join(folder, "threads.ndjson");
    const args = ["serve", "--port", "0", "--data", join(folder, "data"), "--log-format", "json"];
    const child = children.spawn(process.execPath, [EXECUTABLE, ...args], {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${THREAD_NAMES}`.trim(),
      MILLRACE_BENCH_THREADS: threadFile,
    });
    const output: string[] = [];
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`broker ${why}\n${output.slice(-20).join("\n")}`));
      const timer = setTimeout(() => fail("does not listen"), START_TIMEOUT_MS);
      const onLine = (line: string): void => {
        output.push(line);
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
    return new BrokerProcess(child.pid as number, url, threadFile);
  }

  /** For CPU accounting. Threads that start later (a restarted shard) count as unnamed. */
  measured(): MeasuredProcess {
    const threadNames = new Map<number, string>();
    for (const line of readFileSync(this.#threadFile, "utf8").trim().split("\n")) {
      const thread = JSON.parse(line) as { pid: number; tid: number; name: string };
      if (thread.pid !== this.pid) continue;
      threadNames.set(thread.tid, thread.name === "main" ? "main (gateway)" : thread.name);
    }
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
