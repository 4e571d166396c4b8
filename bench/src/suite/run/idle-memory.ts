import type { MeasuredProcess } from "@millrace/load";
import { delay, monotonicMs } from "@millrace/load/internal";
import { residentOf } from "./measured-window.ts";

const POLL_MS = 250;
/** Less than this is no change. */
const CHANGE_BYTES = 256 * 1024;
/** So long nothing may change. */
const QUIET_MS = 10_000;
const TIMEOUT_MS = 60_000;

/**
 * Resident memory of a broker that has nothing to do: waits until it has stopped changing, since collecting garbage and giving
 * memory back go on for some seconds after the last request.
 */
export async function idleResidentBytes(processes: readonly MeasuredProcess[]): Promise<number> {
  const deadlineMs = monotonicMs() + TIMEOUT_MS;
  let bytes = residentOf(processes).now;
  let sinceMs = monotonicMs();
  while (monotonicMs() - sinceMs < QUIET_MS && monotonicMs() < deadlineMs) {
    await delay(POLL_MS);
    const { now } = residentOf(processes);
    if (Math.abs(now - bytes) < CHANGE_BYTES) continue;
    bytes = now;
    sinceMs = monotonicMs();
  }
  return residentOf(processes).now;
}
