import type { ChildProcess } from "node:child_process";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { type ChildProcesses, delay, type MeasuredProcess, monotonicMs } from "@millrace/load/internal";

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
/** What is kept of a server's output, to be shown with an error. */
const OUTPUT_LINES_MAX = 20;

/** A loopback port that nobody listens on now. Whoever asks must bind it soon. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export interface ServerStart {
  readonly children: ChildProcesses;
  readonly label: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The server is ready once this port of 127.0.0.1 takes connections. */
  readonly port: number;
  /** Default 30 s. */
  readonly startTimeoutMs?: number;
}

/** A peer's server: another program, started for one run and ended by its pid. */
export class ServerProcess {
  readonly pid: number;
  readonly label: string;
  readonly #children: ChildProcesses;

  private constructor(children: ChildProcesses, label: string, pid: number) {
    this.#children = children;
    this.label = label;
    this.pid = pid;
  }

  /** @throws Error with the server's own output when it ends or does not listen in time */
  static async start(start: ServerStart): Promise<ServerProcess> {
    const { children, label, program, args, port } = start;
    const child = children.spawn(program, [...args], { ...process.env, ...start.env });
    const output = lastLines(child);
    let ended: string | undefined;
    child.once("error", (error) => {
      ended = `cannot start: ${error.message}`;
    });
    child.once("exit", (code, signal) => {
      ended ??= `ended: code=${code} signal=${signal}`;
    });
    const deadlineMs = monotonicMs() + (start.startTimeoutMs ?? START_TIMEOUT_MS);
    while (!(await takesConnections(port))) {
      if (monotonicMs() > deadlineMs) ended ??= `does not listen: port=${port}`;
      if (ended !== undefined) {
        if (child.pid !== undefined) await children.end(child.pid);
        throw new Error(`${label} ${ended}\n${output.join("\n")}`);
      }
      await delay(POLL_MS);
    }
    return new ServerProcess(children, label, child.pid as number);
  }

  measured(): MeasuredProcess {
    return { role: "broker", label: this.label, pid: this.pid, threadNames: new Map() };
  }

  async stop(): Promise<void> {
    await this.#children.end(this.pid);
  }
}

/** Reads all that the child writes, so that its pipes never fill, and keeps the end. */
function lastLines(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      if (lines.length > OUTPUT_LINES_MAX) lines.shift();
    });
  }
  return lines;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
