import { readFileSync } from "node:fs";
import { until } from "./waiting.ts";

/** What the system says of a process: state, and when it was started, in ticks since the start of the machine. */
interface ProcessState {
  readonly state: string;
  readonly startedAt: string;
}

/**
 * A process that was started by one of ours, known by its id and by its start: an id that has become another process's is never
 * sent a signal. Linux only.
 */
export class ForeignProcess {
  readonly pid: number;
  readonly #startedAt: string | undefined;

  constructor(pid: number) {
    this.pid = pid;
    this.#startedAt = stateOf(pid)?.startedAt;
  }

  /** False also for what has ended and waits for its parent to notice. */
  get isRunning(): boolean {
    const now = stateOf(this.pid);
    return now !== undefined && now.startedAt === this.#startedAt && now.state !== "Z" && now.state !== "X";
  }

  /** @returns whether there was somebody to send it to */
  signal(name: NodeJS.Signals): boolean {
    if (!this.isRunning) return false;
    try {
      return process.kill(this.pid, name);
    } catch {
      return false;
    }
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await until(() => !this.isRunning, `process ${this.pid} has ended`);
  }
}

function stateOf(pid: number): ProcessState | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the name in parentheses, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] as string, startedAt: fields[19] as string };
  } catch {
    return undefined;
  }
}
