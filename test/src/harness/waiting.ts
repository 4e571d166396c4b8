import { setTimeout as pause } from "node:timers/promises";

/**
 * How long a test waits for something that must happen. Far beyond what it takes on the slowest machine: it turns a
 * hang into a message and measures nothing.
 */
export const PATIENCE_MS = 60_000;

const POLL_MS = 5;

/** `promise`, or an error that says what has not come. */
export async function inTime<T>(
  promise: Promise<T>,
  what: string,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patienceMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once `condition` holds, asked again and again. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let waitedMs = 0; !(await condition()); waitedMs += POLL_MS) {
    if (waitedMs >= PATIENCE_MS) throw new Error(`waited in vain until ${what}`);
    await pause(POLL_MS);
  }
}

/** Lets time pass, where a test needs some of it between two actions. */
export async function pauseMs(ms: number): Promise<void> {
  await pause(ms);
}
