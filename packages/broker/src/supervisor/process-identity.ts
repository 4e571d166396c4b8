import { readdirSync, readFileSync } from "node:fs";

/** A process, told apart from a later one that the system gave the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, in the system's own terms; empty where it does not say. */
  readonly startTime: string;
}

/** The identity of a process that runs now; undefined when there is none of this pid. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  if (process.platform !== "linux") return exists(pid) ? { pid, startTime: "" } : undefined;
  const stat = statOf(pid);
  return stat && { pid, startTime: stat.startTime };
}

/** Start times are counted from the system's start: another one makes others of the same ones. */
let bootId: string | undefined;

/** Whether it is there still. One whose threads have all ended, and which only waits to be asked how, is not. */
export function isRunning({ pid, startTime }: ProcessIdentity): boolean {
  if (process.platform !== "linux") return exists(pid);
  const stat = statOf(pid);
  if (stat === undefined || (startTime !== "" && stat.startTime !== startTime)) return false;
  if (stat.state !== "Z" && stat.state !== "X") return true;
  // The first thread of a process can have ended before another one that still writes.
  return threadCount(pid) > 1;
}

/** Sends SIGKILL; nothing happens when it has gone, or is another user's. */
export function kill(identity: ProcessIdentity): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, "SIGKILL");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Of /proc/<pid>/stat: its fields are counted behind the name, which may hold anything. */
function statOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  return { state: fields[0] ?? "", startTime: `${bootId}/${fields[19]}` };
}

function threadCount(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length;
  } catch {
    return 0;
  }
}
