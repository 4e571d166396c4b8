/** Time, injected: the simulator drives its own. */
export interface Clock {
  /** Milliseconds since the epoch, for append times. May step back; callers that mind keep the maximum. */
  wallMs(): number;
  /** Milliseconds that never go back, for timers. */
  monotonicMs(): number;
}
