import { BROKER_LIMITS } from "../limits.ts";
import type { Clock } from "../shard/clock.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";

/**
 * How often what died may be started again: so often within a while, and again later. What dies at each start would keep a
 * machine busy for ever.
 */
export class RestartBudget {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #takenAtMs: number[] = [];

  constructor(clock: Pick<Clock, "monotonicMs"> = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  /** One more restart. @returns false when it is one too many */
  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const { shardRestartsMax, shardRestartsWindowMs } = BROKER_LIMITS;
    this.#takenAtMs = this.#takenAtMs.filter((atMs) => nowMs - atMs < shardRestartsWindowMs);
    if (this.#takenAtMs.length >= shardRestartsMax) return false;
    this.#takenAtMs.push(nowMs);
    return true;
  }

  /** What it allows, for messages. */
  get text(): string {
    const { shardRestartsMax, shardRestartsWindowMs } = BROKER_LIMITS;
    return `${shardRestartsMax} restarts in ${shardRestartsWindowMs / 1000} s`;
  }
}
