import { setTimeout as sleep } from "node:timers/promises";

/**
 * Milliseconds of the machine's monotonic clock. Unlike `performance.now()`, which counts from the start
 * of its process or thread, two of them that read it at one moment read the same value, so the marks of different
 * generators can be subtracted from each other. Allocates nothing.
 */
export function monotonicMs(): number {
  return performance.now() + ORIGIN_MS;
}

/**
 * Where `performance.now()` begins. Both clocks are the same one, so the true difference is constant, and what was read between
 * is the error: the smallest of a few is within a microsecond.
 */
const ORIGIN_MS: number = Math.min(...Array.from({ length: 20 }, originOnce));

function originOnce(): number {
  const relativeMs = performance.now();
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6 - relativeMs;
}

/** Resolves after `ms`, or at once when the signal fires. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
