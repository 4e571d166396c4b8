import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import type { Test } from "tap";
import { inTime } from "./waiting.ts";

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  readonly cwd?: string | undefined;
  /** Added to this process's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** False: standard output is a pipe that nobody reads; for tests of readers that go away. */
  readonly collectOutput?: boolean | undefined;
  readonly uid?: number | undefined;
}

const running: Set<ChildProcess> = new Set();

// Teardown ends them; this is for a test that is itself ended in the middle.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process of a test: what it prints is kept, and it is killed when the test has ended. */
export class OwnedProcess {
  readonly #child: ChildProcess;
  readonly #output: Buffer[] = [];
  readonly #errors: Buffer[] = [];
  #onOutput: (() => void)[] = [];
  #exit: Exit | undefined;
  /** Resolves when the process has ended and all that it printed has been read. */
  readonly exited: Promise<Exit>;

  constructor(t: Test, command: string, args: readonly string[], options: ProcessOptions = {}) {
    // tap puts a loader of its own into every process that is spawned, those under test too; `env` takes it away.
    const child = spawn("env", ["-u", "NODE_OPTIONS", command, ...args], {
      cwd: options.cwd,
      env: environment(options.env),
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
    });
    this.#child = child;
    running.add(child);
    child.stdin.on("error", () => {});
    if (options.collectOutput !== false) this.#collect(child.stdout, this.#output);
    this.#collect(child.stderr, this.#errors);
    this.exited = this.#ended();
    this.exited.catch(() => {});
    t.teardown(async () => {
      if (this.#exit === undefined) await this.kill("SIGKILL");
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  get stdin(): NonNullable<ChildProcess["stdin"]> {
    return this.#child.stdin as NonNullable<ChildProcess["stdin"]>;
  }

  /** The pipe itself, where `collectOutput` is false. */
  get stdoutPipe(): Readable {
    return this.#child.stdout as Readable;
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#output);
  }

  get stdout(): string {
    return this.stdoutBytes.toString("utf8");
  }

  get stderr(): string {
    return Buffer.concat(this.#errors).toString("utf8");
  }

  /** Complete lines of standard output so far. */
  get lines(): string[] {
    return this.stdout.split("\n").slice(0, -1);
  }

  /** Sends the signal, waits for no end. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Sends the signal and waits for the end. */
  async kill(name: NodeJS.Signals): Promise<Exit> {
    if (this.#exit === undefined) this.#child.kill(name);
    return inTime(this.exited, `process ${this.pid} to end after ${name}: ${this.stderr}`);
  }

  /** Resolves once `test` of what has been printed holds; rejects when the process ends before that. */
  async printed(test: () => boolean, what: string): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const look = (): void => {
        if (test()) resolve();
        else this.#onOutput.push(look);
      };
      look();
    });
    const gone = this.exited.then(({ code, signal }) => {
      if (test()) return;
      throw new Error(
        `process ended (code ${code}, signal ${signal}) before ${what}:\n${this.stdout}\n${this.stderr}`,
      );
    });
    await inTime(Promise.race([seen, gone]), what);
  }

  #collect(stream: Readable, parts: Buffer[]): void {
    stream.on("data", (chunk: Buffer) => {
      parts.push(chunk);
      const listeners = this.#onOutput;
      this.#onOutput = [];
      for (const look of listeners) look();
    });
    stream.on("error", () => {});
  }

  async #ended(): Promise<Exit> {
    const child = this.#child;
    // Follows "exit" once the pipes are read; not when a reader never comes or a grandchild holds them.
    const closed = new Promise((resolve) => child.once("close", resolve));
    try {
      const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
      this.#exit = { code, signal };
      return this.#exit;
    } finally {
      running.delete(child);
      child.stdin?.destroy();
    }
  }
}

function environment(changes: ProcessOptions["env"]): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  // What the test runner sets for itself, and what steers the tests, must not steer the processes under test.
  delete env.NODE_OPTIONS;
  for (const name of Object.keys(env)) if (/^(TAP|_TAPJS|MILLRACE_)/.test(name)) delete env[name];
  for (const [name, value] of Object.entries(changes ?? {})) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}
