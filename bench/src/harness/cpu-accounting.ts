import { readdirSync, readFileSync } from "node:fs";
import { monotonicMs } from "./system-clock.ts";

/** A process whose threads are accounted for. */
export interface MeasuredProcess {
  readonly role: "broker" | "yardstick" | "generator" | "client";
  readonly label: string;
  readonly pid: number;
  /** Thread id to name; a thread without a name counts under "runtime" (GC, JIT and libuv threads). */
  readonly threadNames: ReadonlyMap<number, string>;
}

/** CPU used by one thread, or by all unnamed threads of a process, between two snapshots. */
export interface ThreadUsage {
  readonly role: MeasuredProcess["role"];
  readonly process: string;
  readonly thread: string;
  readonly seconds: number;
  /** Share of one core, 0..1 (more only for "runtime", which is several threads). */
  readonly share: number;
}

export interface CpuSnapshot {
  readonly timeMs: number;
  readonly seconds: ReadonlyMap<string, { usage: Omit<ThreadUsage, "seconds" | "share">; seconds: number }>;
}

const RUNTIME_THREADS = "runtime";
/** USER_HZ, the unit of /proc/PID/stat: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** Reads the CPU clocks of every thread of the processes. Linux only. */
export function snapshotCpu(processes: readonly MeasuredProcess[]): CpuSnapshot {
  const seconds = new Map<string, { usage: Omit<ThreadUsage, "seconds" | "share">; seconds: number }>();
  for (const measured of processes) {
    for (const tid of threadIds(measured.pid)) {
      const name = measured.threadNames.get(tid) ?? (tid === measured.pid ? "main" : RUNTIME_THREADS);
      const key = `${measured.pid}/${name}`;
      const usage = { role: measured.role, process: measured.label, thread: name };
      const before = seconds.get(key)?.seconds ?? 0;
      seconds.set(key, { usage, seconds: before + threadSeconds(measured.pid, tid) });
    }
  }
  return { timeMs: monotonicMs(), seconds };
}

export function cpuBetween(before: CpuSnapshot, after: CpuSnapshot): ThreadUsage[] {
  const wallSeconds = (after.timeMs - before.timeMs) / 1000;
  return [...after.seconds].map(([key, { usage, seconds }]) => {
    const used = Math.max(0, seconds - (before.seconds.get(key)?.seconds ?? 0));
    return { ...usage, seconds: used, share: wallSeconds > 0 ? used / wallSeconds : 0 };
  });
}

function threadIds(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

/** CPU seconds of a thread so far: in nanoseconds where the kernel keeps schedstat, else in ticks. */
function threadSeconds(pid: number, tid: number): number {
  const folder = `/proc/${pid}/task/${tid}`;
  const schedstat = readText(`${folder}/schedstat`);
  if (schedstat !== undefined) return Number(schedstat.split(" ", 1)[0]) / 1e9;
  const stat = readText(`${folder}/stat`);
  if (stat === undefined) return 0;
  // The second field is the name in parentheses and may hold spaces: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** A thread may end between the listing and the reading. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
