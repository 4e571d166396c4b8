import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";

/** Behind everything that answers somebody: settling, and replays of what is old. */
export const BEHIND_LIVE_TRAFFIC = 10;

/**
 * Lets threads of greater need go first, where Linux gives each thread a niceness of its own; elsewhere it would be the
 * whole process's, so nothing happens there.
 *
 * @param niceness 0 to 19 (last).
 */
export function lowerThreadPriority(niceness: number): void {
  if (process.platform !== "linux") return;
  try {
    // "<process>/task/<thread>"
    const threadId = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    if (Number.isInteger(threadId)) setPriority(threadId, niceness);
  } catch {
    // Without /proc, or where it is forbidden, all threads are equal.
  }
}
