import { type ChildProcess, fork, spawn } from "node:child_process";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { CommandReply, CommandTable } from "./child-commands.ts";
import { delay } from "./system-clock.ts";

/** How long a child may take over one command before the harness gives it up. */
const COMMAND_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 10_000;

type Args<F> = F extends (args: infer A) => unknown ? A : never;
type Result<F> = F extends (args: never) => infer R ? Awaited<R> : never;
interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A forked bench process, asked by name. A child that dies or reports a failure fails every later call. */
export class CommandedChild<C extends CommandTable<C>> {
  readonly pid: number;
  readonly label: string;
  readonly #process: ChildProcess;
  readonly #waiting: Map<number, Waiter> = new Map();
  #nextId = 1;
  #failure: Error | undefined;

  constructor(process: ChildProcess, label: string, onReady: () => void, onFailure: (error: Error) => void) {
    this.#process = process;
    this.pid = process.pid as number;
    this.label = label;
    process.on("message", (message) => {
      const reply = message as CommandReply;
      if ("ready" in reply) onReady();
      else if ("failure" in reply) this.#fail(new Error(`${label} failed: ${reply.failure}`));
      else this.#settle(reply);
    });
    process.on("exit", (code, signal) => {
      this.#fail(new Error(`${label} ended: code=${code} signal=${signal}`));
      onFailure(this.#failure as Error);
    });
  }

  async call<K extends keyof C & string>(name: K, args: Args<C[K]>): Promise<Result<C[K]>> {
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#nextId++;
    let timer: NodeJS.Timeout | undefined;
    try {
      return (await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        const late = new Error(`${this.label} did not answer in time: command=${name}`);
        timer = setTimeout(() => reject(late), COMMAND_TIMEOUT_MS);
        this.#process.send({ id, name, args: args ?? null });
      })) as Result<C[K]>;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #settle(reply: { id: number; result: unknown } | { id: number; error: string }): void {
    const waiter = this.#waiting.get(reply.id);
    if (waiter === undefined) return;
    if ("error" in reply) waiter.reject(new Error(`${this.label}: ${reply.error}`));
    else waiter.resolve(reply.result);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.values()) waiter.reject(this.#failure);
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
