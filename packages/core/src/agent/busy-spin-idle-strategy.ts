import type { IdleStrategy } from "./idle-strategy.ts";

/**
 * Never sleeps: the next round follows at once, after a hint to the processor where there is one (Atomics.pause). The shortest way
 * to the next record, for the price of a whole core; with fewer cores than such threads everybody waits for the scheduler.
 * After Agrona's BusySpinIdleStrategy.
 */
export class BusySpinIdleStrategy implements IdleStrategy {
  private readonly pause: (() => void) | undefined = (Atomics as { pause?: () => void }).pause;

  idle(workCount: number): void {
    if (workCount <= 0) this.pause?.();
  }

  reset(): void {}
}
