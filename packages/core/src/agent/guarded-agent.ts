import { type Agent, ROUND_FAILED } from "./agent.ts";

/** After an error the agent may have left work behind that nobody will ring for, so it never sleeps longer than this. */
const SLEEP_AFTER_ERROR_MS_MAX = 10;

/**
 * An agent whose errors go to `onError`; what that throws itself reaches the caller. The runners differ in when they call it.
 * One thread.
 */
export class GuardedAgent {
  private readonly agent: Agent;
  private readonly onError: (error: unknown) => void;
  private failed = false;
  private closed = false;

  constructor(agent: Agent, onError: (error: unknown) => void) {
    this.agent = agent;
    this.onError = onError;
  }

  get name(): string {
    return this.agent.name;
  }

  /** @returns what was done, or ROUND_FAILED. */
  round(): number {
    try {
      const work = this.agent.doWork();
      this.failed = false;
      return work;
    } catch (error) {
      this.failed = true;
      this.onError(error);
      return ROUND_FAILED;
    }
  }

  /** The agent's, but at most 10 after a round that failed. */
  nextTimerMs(): number {
    try {
      const timerMs = this.agent.nextTimerMs();
      if (Number.isNaN(timerMs)) throw new RangeError(`nextTimerMs must not be NaN: name=${this.agent.name}`);
      return this.failed ? Math.min(timerMs, SLEEP_AFTER_ERROR_MS_MAX) : timerMs;
    } catch (error) {
      this.onError(error);
      return SLEEP_AFTER_ERROR_MS_MAX;
    }
  }

  /** Tells the agent once. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    try {
      this.agent.onClose();
    } catch (error) {
      this.onError(error);
    }
  }
}
