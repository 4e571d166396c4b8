/** Milliseconds of a clock that never goes back; only differences mean anything. Any thread; each may have a clock of its own. */
export function nowMs(): number {
  return performance.now();
}
