import { type LoadTask, type Repetition, runRepetition } from "@millrace/load";
import { freeBytes } from "../../harness/file-system.ts";
import { dirtyLimits, writtenBytes } from "../../harness/kernel-memory.ts";
import type { SubjectRun } from "./subject-run.ts";

/** What the kernel lets stay unwritten has been written so many times over when a row counts as steady. */
const DIRTY_LIMITS = 4;
/** Shortest window of a row that is to be steady. */
const STEADY_MS_MIN = 10_000;
/** A window that finds out how fast the subject writes. */
const PROBE_MS = 2_000;
/** Of the free disk, which everything that is written in a window may take. */
const DISK_SHARE = 0.5;

/** One measured window of these tasks, with the plan's times. */
export async function repetition(
  run: SubjectRun,
  tasks: readonly LoadTask[],
  durationMs: number = run.plan.durationMs,
): Promise<Repetition> {
  const { warmUpMs, drainMs } = run.plan;
  return await runRepetition({
    tasks,
    fleet: run.fleet(),
    broker: { processes: run.running.processes },
    warmUpMs,
    durationMs,
    drainMs,
    onProgress: run.context.onProgress,
  });
}

/**
 * The same for tasks that publish as fast as they can. What is written to a disk at first goes into the page cache, as fast as
 * memory is, until the kernel makes writers wait: so with `--full` the window of such a row lasts a minute, or until four
 * times what may stay unwritten has been written. The note says which, and where neither was possible.
 */
export async function publishRepetition(run: SubjectRun, tasks: readonly LoadTask[]): Promise<Repetition> {
  const { steadyMs } = run.plan;
  if (steadyMs === undefined || run.durability === "memory") return await repetition(run, tasks);
  const probe = await repetition(run, tasks, PROBE_MS);
  const { limitBytes } = dirtyLimits();
  const enough = DIRTY_LIMITS * limitBytes;
  const untilEnoughMs = (enough / probe.bytesPerSecond) * 1000;
  const untilFullMs = ((freeBytes(run.folder) * DISK_SHARE) / probe.bytesPerSecond) * 1000;
  const wantedMs = Math.max(STEADY_MS_MIN, Math.min(steadyMs, untilEnoughMs));
  const durationMs = Math.min(wantedMs, untilFullMs);
  const before = writtenBy(run);
  const steady = await repetition(run, tasks, durationMs);
  const written = writtenBy(run) - before;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const reached = written >= enough ? "more than" : "which is less than";
  const cut = durationMs < wantedMs ? "; cut short, for the disk has no room for more" : "";
  run.notes.add(
    `window of ${(durationMs / 1000).toFixed(0)} s, ${gigabytes(written)} written to storage, ` +
      `${reached} ${DIRTY_LIMITS} x the kernel's dirty limit (${gigabytes(enough)})${cut}`,
  );
  return steady;
}

function writtenBy(run: SubjectRun): number {
  return run.running.processes.reduce((sum, { pid }) => sum + (writtenBytes(pid) ?? 0), 0);
}
