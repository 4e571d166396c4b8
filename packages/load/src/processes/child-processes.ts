import { type ChildProcess, fork, spawn } from "node:child_process";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { delay } from "../measure/system-clock.ts";
import type { CommandReply, CommandTable } from "./child-commands.ts";
import { CommandCalls } from "./command-calls.ts";

const STOP_TIMEOUT_MS = 10_000;

/** A forked process, asked by name. One that dies or reports a failure fails every later call. */
export class CommandedChild<C extends CommandTable<C>> extends CommandCalls<C> {
  readonly pid: number;

  constructor(child: ChildProcess, label: string, onReady: () => void, onFailure: (error: Error) => void) {
    super(label, (request) => child.send(request));
    this.pid = child.pid as number;
    child.on("message", (message) => {
      if (this.onReply(message as CommandReply)) onReady();
    });
    child.on("exit", (code, signal) => {
      this.fail(new Error(`${label} ended: code=${code} signal=${signal}`));
      this.failure.catch(onFailure);
    });
  }
}

/** Every process that a bench started, so that all of them can be ended by their own pids. */
export class ChildProcesses {
  readonly #children: Set<ChildProcess> = new Set();
  #closed = false;
  readonly #killAll = (): void => {
    for (const child of this.#children) child.kill("SIGKILL");
  };

  constructor() {
    // The last resort of an abnormal exit; endAll() is the ordinary way.
    process.on("exit", this.#killAll);
  }

  /** Forks the compiled module at `module` and waits until it serves commands. */
  async fork<C extends CommandTable<C>>(
    module: URL,
    options: { args?: string[]; env?: NodeJS.ProcessEnv; label?: string } = {},
  ): Promise<CommandedChild<C>> {
    this.#assertOpen();
    const path = fileURLToPath(module);
    const child = fork(path, options.args ?? [], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      execArgv: [],
      env: { ...process.env, ...options.env },
    });
    this.#adopt(child);
    const label = options.label ?? basename(path, ".js");
    return await new Promise((resolve, reject) => {
      const commanded: CommandedChild<C> = new CommandedChild<C>(
        child,
        label,
        () => resolve(commanded),
        reject,
      );
    });
  }

  /** Starts any other program, its standard output and error piped. */
  spawn(command: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
    this.#assertOpen();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    this.#adopt(child);
    return child;
  }

  /** Kills the child of that pid, with no chance to put its things in order. */
  async kill(pid: number): Promise<void> {
    for (const child of this.#children) {
      if (child.pid !== pid) continue;
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill("SIGKILL");
      await exited;
    }
  }

  /** Ends the child of that pid: SIGTERM first, SIGKILL when it does not go within 10 s. */
  async end(pid: number): Promise<void> {
    for (const child of this.#children) if (child.pid === pid) await this.#end(child);
  }

  /** Ends all and starts no more: an interrupted row may still be at work. */
  async endAll(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#children].map((child) => this.#end(child)));
    process.off("exit", this.#killAll);
  }

  #assertOpen(): void {
    if (this.#closed) throw new Error("the run is over");
  }

  #adopt(child: ChildProcess): void {
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    child.once("error", () => this.#children.delete(child));
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const timeout = new AbortController();
    await Promise.race([exited, delay(STOP_TIMEOUT_MS, timeout.signal)]);
    timeout.abort();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await exited;
    }
  }
}
