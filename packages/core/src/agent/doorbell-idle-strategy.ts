import type { Doorbell } from "../doorbell/doorbell.ts";
import type { Agent } from "./agent.ts";
import { checkRounds, type IdleStrategy } from "./idle-strategy.ts";

/** Idle rounds before the thread announces sleep: a record that follows shortly is then found without a wake-up. */
const SPINS = 16;

/**
 * Sleeps until somebody rings or a timer is due: no core is burnt, and no record waits for a sleep to end. After `spins` idle
 * rounds it announces sleep; the round that follows is the second look that a doorbell asks for; if that finds nothing either, the
 * thread waits. A round that failed counts as all the spins. For threads that may block.
 */
export class DoorbellIdleStrategy implements IdleStrategy {
  private readonly doorbell: Doorbell;
  private readonly spins: number;
  private rounds = 0;
  private announced = false;

  /**
   * @param doorbell of this thread: rung by whoever publishes for it.
   * @param options `spins`: idle rounds before sleep is announced, 0 or more; 16 unless told otherwise.
   * @throws RangeError
   */
  constructor(doorbell: Doorbell, options: { readonly spins?: number } = {}) {
    this.doorbell = doorbell;
    this.spins = checkRounds("spins", options.spins ?? SPINS);
  }

  /** @throws TypeError where the platform forbids blocking, as on a browser's main thread. */
  idle(workCount: number, agent: Pick<Agent, "nextTimerMs">): void {
    if (workCount > 0) {
      this.rounds = 0;
      if (this.announced) this.reset();
    } else if (this.announced) {
      this.announced = false;
      this.rounds = 0;
      this.doorbell.wait(agent.nextTimerMs());
    } else if (++this.rounds >= this.spins || workCount < 0) {
      this.announced = true;
      this.doorbell.prepareSleep();
    }
  }

  /** The doorbell says awake again: nobody rings for a thread that is gone. */
  reset(): void {
    this.announced = false;
    this.rounds = 0;
    this.doorbell.cancelSleep();
  }
}
