import type { Agent } from "./agent.ts";

/**
 * What a thread does between rounds: nothing, spin, give its core away, or sleep. After Agrona's IdleStrategy, which has no
 * timers to mind. The thread of the rounds calls both methods; an instance has a state and serves one runner.
 */
export interface IdleStrategy {
  /**
   * Called after each round.
   *
   * @param workCount what the round returned: positive when it did something, 0 when not, ROUND_FAILED when it threw.
   * @param agent asked for its next timer by a strategy that is about to sleep.
   */
  idle(workCount: number, agent: Pick<Agent, "nextTimerMs">): void;
  /** As if there had been work: called when the rounds end, and by anybody who wants the next rounds at once. */
  reset(): void;
}

/** @throws RangeError unless `rounds` is an integer from 0 on. */
export function checkRounds(name: string, rounds: number): number {
  if (!Number.isSafeInteger(rounds) || rounds < 0) {
    throw new RangeError(`${name} must be an integer from 0 on: ${name}=${rounds}`);
  }
  return rounds;
}
