/** Milliseconds since the epoch, as the broker counts its append times. */
export function wallMs(): number {
  return Date.now();
}

/** Milliseconds from an arbitrary start; bounds how long a load goes on, never whether a test passes. */
export function monotonicMs(): number {
  return performance.now();
}

/** Microseconds from an arbitrary start that all processes of the machine share: orders what several of them wrote down. */
export function machineMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
