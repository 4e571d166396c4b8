import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ChildProcesses } from "@millrace/load/internal";
import type { RunningSubject } from "../../suite/subjects/subject.ts";
import { missingPrograms, peersFolder, programPath } from "../peer-programs.ts";

const CPU_SAMPLE_INTERVAL_MS = 50;
/** USER_HZ, the unit of /proc/PID/stat: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** All jars of a folder that setup.sh has filled. */
export function classPath(folder: string): string {
  return join(peersFolder(), folder, "*");
}

/** What stands behind the jar's name and a dash: "4.1.2". undefined: there is no such jar. */
export function jarVersion(folder: string, jar: string): string | undefined {
  const path = join(peersFolder(), folder);
  if (!existsSync(path)) return undefined;
  const prefix = `${jar}-`;
  const name = readdirSync(path).find(
    (file) => file.startsWith(prefix) && /^\d/.test(file.slice(prefix.length)),
  );
  return name?.slice(prefix.length, -".jar".length);
}

/** For Subject.available. */
export function missingJava(folder: string, jar: string): string | undefined {
  const missing = missingPrograms("java");
  if (missing !== undefined) return missing;
  if (jarVersion(folder, jar) !== undefined) return undefined;
  return `${jar}.jar not found: bench/peers/setup.sh installs it`;
}

export interface JavaTool {
  readonly children: ChildProcesses;
  readonly jvm: readonly string[];
  readonly classPath: string;
  /** Main class, or the path of a source file, and its arguments. */
  readonly args: readonly string[];
  readonly timeoutMs: number;
}

export interface JavaToolResult {
  /** Standard output alone: what is logged goes to standard error. */
  readonly lines: readonly string[];
  /** Of the whole life of the process, but for its last 50 ms. */
  readonly cpuSeconds: number;
}

/**
 * Runs a Java tool to its end.
 * @throws Error with the end of its output when it fails or takes longer than that
 */
export async function runJavaTool(tool: JavaTool): Promise<JavaToolResult> {
  const args = [...tool.jvm, "-cp", tool.classPath, ...tool.args];
  const child = tool.children.spawn(programPath("java"), args, process.env);
  const lines: string[] = [];
  const all: string[] = [];
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      all.push(line);
    });
  }
  if (child.stderr !== null) createInterface({ input: child.stderr }).on("line", (line) => all.push(line));
  let cpuSeconds = 0;
  const sampler = setInterval(() => {
    cpuSeconds = processCpuSeconds(child.pid as number) ?? cpuSeconds;
  }, CPU_SAMPLE_INTERVAL_MS);
  const timer = setTimeout(() => {
    all.push(`took longer than ${tool.timeoutMs} ms`);
    child.kill("SIGKILL");
  }, tool.timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    // "close", not "exit": the last lines may still be in the pipes.
    child.once("close", (exitCode) => resolve(exitCode));
  }).finally(() => {
    clearTimeout(timer);
    clearInterval(sampler);
  });
  if (code !== 0) throw new Error(`java ${tool.args.join(" ")}: code=${code}\n${all.slice(-20).join("\n")}`);
  return { lines, cpuSeconds };
}

/** Of all processes of a broker so far. */
export function brokerCpuSeconds(running: RunningSubject): number {
  return running.processes.reduce((sum, { pid }) => sum + (processCpuSeconds(pid) ?? 0), 0);
}

/** All threads together, also those that have ended. */
function processCpuSeconds(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the name in parentheses and may hold spaces: count from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}
