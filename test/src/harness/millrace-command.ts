import { EventEmitter } from "node:events";
import { Readable, Writable } from "node:stream";
import { type CommandContext, runCommandLine } from "@millrace/cli";
import { connect } from "@millrace/client";
import { SYSTEM_CLOCK } from "@millrace/gateway/internal";
import type { Test } from "tap";
import { type Exit, OwnedProcess, type ProcessOptions } from "./owned-process.ts";
import { MILLRACE_BIN } from "./repository.ts";
import { inTime } from "./waiting.ts";

export interface CommandResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `millrace ARGS`. */
export function startCommand(t: Test, args: readonly string[], options: ProcessOptions = {}): OwnedProcess {
  return new OwnedProcess(t, process.execPath, [MILLRACE_BIN, ...args], options);
}

/**
 * Runs `millrace ARGS` to its end in a process of its own, with `input` on standard input. For what a process has to do with,
 * and for commands beside which the test has work to do.
 */
export async function runCommandProcess(
  t: Test,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<CommandResult> {
  const command = startCommand(t, args);
  command.stdin.end(input);
  const exit = await inTime(command.exited, `millrace ${args.join(" ")} to end`);
  return { ...exit, stdout: command.stdout, stderr: command.stderr };
}

/** Runs `millrace ARGS` to its end in this process, which takes a tenth of the time; what it does is the same. */
export async function runCommand(
  t: Test,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<CommandResult> {
  const signals = Object.assign(new EventEmitter(), {
    exit(code: number): never {
      throw new Error(`millrace ${args.join(" ")} exits at once with ${code}`);
    },
  });
  t.teardown(() => signals.emit("SIGINT"));
  const stdout = new TextOutput();
  const stderr = new TextOutput();
  const context: CommandContext = {
    stdin: Readable.from(input.length === 0 ? [] : [Buffer.from(input)], { objectMode: false }),
    stdinBytes: () => undefined,
    stdout,
    stderr,
    clock: SYSTEM_CLOCK,
    env: {},
    signals,
    connect,
    async loadBroker() {
      throw new Error("serve has a process of its own: see BrokerProcess");
    },
    async loadCluster() {
      throw new Error("serve has a process of its own: see BrokerProcess");
    },
    cores: 1,
  };
  const code = await inTime(runCommandLine(args, context), `millrace ${args.join(" ")} to end`);
  return { code, signal: null, stdout: stdout.text, stderr: stderr.text };
}

/** Standard output of a command that must succeed, as JSON objects, one a line. */
export async function jsonOutput(
  t: Test,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runCommand(t, args, input);
  if (code !== 0) throw new Error(`millrace ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Keeps what is written to it. */
class TextOutput extends Writable {
  readonly #chunks: Buffer[] = [];

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(Buffer.from(chunk));
    done();
  }
}
