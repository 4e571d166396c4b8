import { checkRounds, type IdleStrategy } from "./idle-strategy.ts";
import { ThreadSleep, YIELD_MS } from "./thread-sleep.ts";

/** Idle rounds before each further one gives the core away. Agrona's yields at once, but a yield costs more here. */
const SPINS = 100;

/**
 * Spins for a while, then gives the core away after each idle round, for as short as the platform can. For threads that may
 * block, where there are more of them than cores. After Agrona's YieldingIdleStrategy.
 */
export class YieldingIdleStrategy implements IdleStrategy {
  private readonly spins: number;
  private readonly thread: ThreadSleep = new ThreadSleep();
  private rounds = 0;

  /** @param options `spins`: idle rounds before the first yield, 0 or more. @throws RangeError */
  constructor(options: { readonly spins?: number } = {}) {
    this.spins = checkRounds("spins", options.spins ?? SPINS);
  }

  /** @throws TypeError where the platform forbids blocking, as on a browser's main thread. */
  idle(workCount: number): void {
    if (workCount > 0) this.rounds = 0;
    else if (this.rounds < this.spins) this.rounds++;
    else this.thread.sleep(YIELD_MS);
  }

  reset(): void {
    this.rounds = 0;
  }
}
