/** Milliseconds since the epoch, as the broker counts its append times. */
export function wallMs(): number {
  return Date.now();
}

/** Milliseconds from an arbitrary start; bounds how long a load goes on, never whether a test passes. */
export function monotonicMs(): number {
  return performance.now();
}
