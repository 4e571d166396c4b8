import { setTimeout as sleep } from "node:timers/promises";

/**
 * Milliseconds of the machine's monotonic clock. Unlike `performance.now()`, which counts from the start
 * of its process, two processes that read it at one moment read the same value, so the marks of different
 * generators can be subtracted from each other.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Resolves after `ms`, or at once when the signal fires. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
