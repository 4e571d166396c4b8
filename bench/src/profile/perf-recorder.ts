import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Samples a second of each thread: no multiple of the timers' millisecond, so that it does not beat with them. */
const FREQUENCY_HZ = 997;

/** Why `perf` cannot be used here; undefined where it can. */
export async function perfMissing(): Promise<string | undefined> {
  try {
    await run("perf", ["record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "--", "true"]);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return `perf does not work here (Debian: apt-get install linux-perf; kernel.perf_event_paranoid <= 1): ${text}`;
  }
}

/** Samples every thread of a process for so long, by the software clock (virtual machines often have no other). */
export async function recordProcess(pid: number, seconds: number, file: string): Promise<void> {
  const recording = ["record", "-q", "-e", "cpu-clock", "-F", String(FREQUENCY_HZ), "-g", "-p", String(pid)];
  await run("perf", [...recording, "-o", file, "--", "sleep", String(seconds)]);
}

/** The samples of a recording as text, line by line. */
export async function* recordedLines(file: string): AsyncGenerator<string> {
  const child = spawn("perf", ["script", "-i", file, "-F", "tid,ip,sym,dso"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  yield* createInterface({ input: child.stdout });
  const code = await exited;
  if (code !== 0) throw new Error(`perf script ended with code ${code}`);
}
