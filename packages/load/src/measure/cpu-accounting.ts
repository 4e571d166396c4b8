import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { monotonicMs } from "./system-clock.ts";

/** A process whose threads are accounted for. */
export interface MeasuredProcess {
  readonly role: "broker" | "yardstick" | "generator" | "client";
  readonly label: string;
  readonly pid: number;
  /** Thread id to name; a thread without a name counts under "runtime" (GC, JIT and libuv threads). */
  readonly threadNames: ReadonlyMap<number, string>;
}

/** A child without named worker threads. */
export function plainProcess(
  role: MeasuredProcess["role"],
  child: { readonly pid: number; readonly label: string },
): MeasuredProcess {
  return { role, label: child.label, pid: child.pid, threadNames: new Map() };
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
  readonly machine: MachineSeconds;
  readonly seconds: ReadonlyMap<string, ThreadClock>;
}

/** What a thread, or all unnamed threads of a process, have used so far. */
interface ThreadClock {
  readonly usage: Omit<ThreadUsage, "seconds" | "share">;
  readonly seconds: number;
  /** Ready to run, but without a core. 0 where the kernel does not say. */
  readonly waitedSeconds: number;
}

/** CPU seconds of all cores together since the machine started. */
interface MachineSeconds {
  readonly busy: number;
  /** Wanted, but given to other machines by the host. */
  readonly stolen: number;
}

/** What else went on, in cores (1 = one core all the time). */
export interface Disturbance {
  /** Processes that are not measured, and the kernel's own threads, such as those that write back pages. */
  readonly elsewhereCores: number;
  readonly stolenCores: number;
}

const RUNTIME_THREADS = "runtime";
/** USER_HZ, the unit of /proc/PID/stat: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** Reads the CPU clocks of every thread of the processes. Linux only. */
export function snapshotCpu(processes: readonly MeasuredProcess[]): CpuSnapshot {
  const seconds = new Map<string, ThreadClock>();
  for (const measured of processes) {
    for (const tid of threadIds(measured.pid)) {
      const name = measured.threadNames.get(tid) ?? (tid === measured.pid ? "main" : RUNTIME_THREADS);
      const key = `${measured.pid}/${name}`;
      const usage = { role: measured.role, process: measured.label, thread: name };
      const before = seconds.get(key);
      const [used, waited] = threadSeconds(measured.pid, tid);
      seconds.set(key, {
        usage,
        seconds: (before?.seconds ?? 0) + used,
        waitedSeconds: (before?.waitedSeconds ?? 0) + waited,
      });
    }
  }
  return { timeMs: monotonicMs(), machine: machineSeconds(), seconds };
}

/**
 * How many of the threads ran or wanted to run, on average. Where that is more than there are cores, they waited for
 * each other, and what was measured is how they share the machine.
 */
export function busyThreadsBetween(before: CpuSnapshot, after: CpuSnapshot): number {
  const wallSeconds = (after.timeMs - before.timeMs) / 1000;
  if (!(wallSeconds > 0)) return 0;
  let busy = 0;
  for (const [key, { seconds, waitedSeconds }] of after.seconds) {
    const from = before.seconds.get(key);
    busy += Math.max(0, seconds + waitedSeconds - (from?.seconds ?? 0) - (from?.waitedSeconds ?? 0));
  }
  return busy / wallSeconds;
}

export function cpuBetween(before: CpuSnapshot, after: CpuSnapshot): ThreadUsage[] {
  const wallSeconds = (after.timeMs - before.timeMs) / 1000;
  return [...after.seconds].map(([key, { usage, seconds }]) => {
    const used = Math.max(0, seconds - (before.seconds.get(key)?.seconds ?? 0));
    return { ...usage, seconds: used, share: wallSeconds > 0 ? used / wallSeconds : 0 };
  });
}

export function disturbanceBetween(before: CpuSnapshot, after: CpuSnapshot): Disturbance {
  const wallSeconds = (after.timeMs - before.timeMs) / 1000;
  const measured = cpuBetween(before, after).reduce((sum, usage) => sum + usage.seconds, 0);
  const busy = after.machine.busy - before.machine.busy;
  return {
    elsewhereCores: Math.max(0, busy - measured) / wallSeconds,
    stolenCores: (after.machine.stolen - before.machine.stolen) / wallSeconds,
  };
}

/** The first line of /proc/stat: cpu user nice system idle iowait irq softirq steal, in ticks. */
function machineSeconds(): MachineSeconds {
  const line = (readText("/proc/stat") ?? "").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    stolen: steal / TICKS_PER_SECOND,
  };
}

function threadIds(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

/** CPU seconds of a thread so far, and those it waited for a core: in nanoseconds where the kernel keeps schedstat, else in ticks. */
function threadSeconds(pid: number, tid: number): [used: number, waited: number] {
  const folder = `/proc/${pid}/task/${tid}`;
  const schedstat = readText(`${folder}/schedstat`);
  if (schedstat !== undefined) {
    const [used, waited] = schedstat.split(" ", 2);
    return [Number(used) / 1e9, Number(waited) / 1e9];
  }
  const stat = readText(`${folder}/stat`);
  if (stat === undefined) return [0, 0];
  // The second field is the name in parentheses and may hold spaces: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return [(Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, 0];
}

/** CPU seconds of the calling thread so far; undefined where the system does not say. */
export function ownThreadSeconds(): number | undefined {
  if (process.platform !== "linux") return undefined;
  const [pid, , tid] = readlinkSync("/proc/thread-self").split("/").map(Number);
  return threadSeconds(pid as number, tid as number)[0];
}

/** A thread may end between the listing and the reading. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
