import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { ChildProcesses } from "@millrace/load/internal";

/** USER_HZ: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;
const VERSION_TIMEOUT_MS = 10_000;

/** What the first group of `pattern` matches in the output of such a call, or "unknown". */
export function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: VERSION_TIMEOUT_MS });
  return pattern.exec(`${stdout}\n${stderr}`)?.[1] ?? "unknown";
}

/** CPU that the ended children of this process have used so far, all together. Linux only. */
export function endedChildrenCpuSeconds(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  // Behind the name in parentheses, which may contain anything: cutime and cstime are the fields 16 and 17 of all.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/**
 * Runs a native tool to its end, and resolves with what it wrote to standard output and standard error.
 * @throws Error with the end of its output when it fails or takes longer than that
 */
export async function runTool(
  children: ChildProcesses,
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly env?: NodeJS.ProcessEnv },
): Promise<string> {
  const child = children.spawn(program, [...args], { ...process.env, ...options.env });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", (line) => lines.push(line));
  }
  const timer = setTimeout(() => {
    lines.push(`took longer than ${options.timeoutMs} ms`);
    child.kill("SIGKILL");
  }, options.timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    // "close", not "exit": the last lines may still be in the pipes.
    child.once("close", (exitCode) => resolve(exitCode));
  }).finally(() => clearTimeout(timer));
  const text = lines.join("\n");
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: code=${code}\n${text.slice(-2000)}`);
  return text;
}
