import type { Agent } from "./agent.ts";
import { checkRounds, type IdleStrategy } from "./idle-strategy.ts";
import { ThreadSleep, YIELD_MS } from "./thread-sleep.ts";

/** Agrona's, but for the shortest sleep: below the kernel's timer slack doubling it would change nothing. */
const SPINS = 10;
const YIELDS = 5;
const PARK_MS_MIN = 0.05;
const PARK_MS_MAX = 1;

export interface BackoffOptions {
  /** Idle rounds without a pause. */
  readonly spins?: number;
  /** Idle rounds after those that give the core away for as short as the platform can. */
  readonly yields?: number;
  /** Milliseconds of the first sleep after that; each further one takes twice as long. */
  readonly parkMsMin?: number;
  /** Milliseconds of the longest sleep: how late a record may be found. */
  readonly parkMsMax?: number;
}

/**
 * Spins, then yields, then sleeps for longer and longer, and from the start again when there is work. It finds work without
 * anybody ringing for it, at the latest after `parkMsMax`; it sleeps no longer than to the agent's next timer. For threads that
 * may block. After Agrona's BackoffIdleStrategy.
 */
export class BackoffIdleStrategy implements IdleStrategy {
  private readonly spins: number;
  private readonly spinsAndYields: number;
  private readonly parkMsMin: number;
  private readonly parkMsMax: number;
  private readonly thread: ThreadSleep = new ThreadSleep();
  private rounds = 0;
  private parkMs: number;

  /** @throws RangeError when a number is out of order. */
  constructor(options: BackoffOptions = {}) {
    this.spins = checkRounds("spins", options.spins ?? SPINS);
    this.spinsAndYields = this.spins + checkRounds("yields", options.yields ?? YIELDS);
    this.parkMsMin = options.parkMsMin ?? Math.min(PARK_MS_MIN, options.parkMsMax ?? PARK_MS_MIN);
    this.parkMsMax = options.parkMsMax ?? Math.max(PARK_MS_MAX, this.parkMsMin);
    if (!(this.parkMsMin > 0 && this.parkMsMin <= this.parkMsMax)) {
      throw new RangeError(
        `park times must be positive and in order: parkMsMin=${this.parkMsMin} parkMsMax=${this.parkMsMax}`,
      );
    }
    this.parkMs = this.parkMsMin;
  }

  /** @throws TypeError where the platform forbids blocking, as on a browser's main thread. */
  idle(workCount: number, agent: Pick<Agent, "nextTimerMs">): void {
    if (workCount > 0) {
      this.reset();
    } else if (this.rounds < this.spinsAndYields) {
      this.rounds++;
      if (this.rounds > this.spins) this.thread.sleep(YIELD_MS);
    } else {
      const timerMs = agent.nextTimerMs();
      if (timerMs > 0) this.thread.sleep(Math.min(this.parkMs, timerMs));
      this.parkMs = Math.min(2 * this.parkMs, this.parkMsMax);
    }
  }

  reset(): void {
    this.rounds = 0;
    this.parkMs = this.parkMsMin;
  }
}
