/** A piece of work that shares nothing with other threads but its rings, run by one thread in rounds. */
export interface Agent {
  /** Names the agent in errors and metrics. */
  readonly name: string;
  /**
   * One bounded round. It must look into every ring and timer, since a round is also the check between announcing sleep
   * and sleeping.
   *
   * @returns how much was done; 0 lets the thread sleep.
   */
  doWork(): number;
  /** Milliseconds until the next timer is due, 0 or less when one is, Infinity when there is none. */
  nextTimerMs(): number;
  /** Called once on the agent's thread after the last round. */
  onClose(): void;
}

/** Outcome of a round that threw: rest before the next one. */
export const ROUND_FAILED = -1;
