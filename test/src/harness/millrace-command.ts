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

/** Runs `millrace ARGS` to its end, with `input` on standard input. */
export async function runCommand(
  t: Test,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<CommandResult> {
  const command = startCommand(t, args);
  command.stdin.end(input);
  const exit = await inTime(command.exited, `millrace ${args.join(" ")} to end`);
  return { ...exit, stdout: command.stdout, stderr: command.stderr };
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
