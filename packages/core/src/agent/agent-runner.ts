import type { Doorbell } from "../doorbell/doorbell.ts";

/** Rounds without work before the thread sleeps: a record that follows shortly is then found without a wake-up. */
const IDLE_ROUNDS_MAX = 16;

/** After an error the agent may have left work behind that nobody will ring for, so it never sleeps longer than this. */
const SLEEP_AFTER_ERROR_MS_MAX = 10;

/** Outcome of a round that threw: the agent rests before the next one. */
const FAILED = -1;

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

/**
 * The duty cycle of a thread that does nothing else: rounds of work, a short spin, then sleep on the doorbell until
 * somebody rings or a timer is due. After Agrona's AgentRunner.
 *
 * It blocks the thread's event loop, so messages to such a worker must be fetched by the agent itself
 * (`receiveMessageOnPort`). All methods belong to the one thread.
 */
export class AgentRunner {
  private readonly agent: Agent;
  private readonly doorbell: Doorbell;
  private readonly onError: (error: unknown) => void;
  private closed = false;
  private started = false;

  /**
   * @param doorbell without a `wake`: this thread waits on it.
   * @param onError is told what `doWork`, `nextTimerMs` and `onClose` throw; the rounds go on unless it calls `close`. What
   * it throws itself ends `run`, after `onClose`.
   */
  constructor(agent: Agent, doorbell: Doorbell, onError: (error: unknown) => void) {
    this.agent = agent;
    this.doorbell = doorbell;
    this.onError = onError;
  }

  /**
   * Runs rounds until `close` is called from inside one.
   *
   * @throws Error when called a second time.
   */
  run(): void {
    if (this.started) throw new Error(`agent runs already or has run: name=${this.agent.name}`);
    this.started = true;
    try {
      let idleRounds = 0;
      while (!this.closed) {
        const outcome = this.round();
        if (outcome > 0) {
          idleRounds = 0;
        } else if (outcome === FAILED || ++idleRounds === IDLE_ROUNDS_MAX) {
          idleRounds = 0;
          this.sleep();
        }
      }
    } finally {
      this.finish();
    }
  }

  /** Ends `run` after the current round. Called by the agent or `onError`, on the agent's thread. */
  close(): void {
    this.closed = true;
  }

  private round(): number {
    try {
      return this.agent.doWork();
    } catch (error) {
      this.onError(error);
      return FAILED;
    }
  }

  private sleep(): void {
    if (this.closed) return;
    this.doorbell.prepareSleep();
    const outcome = this.round();
    if (outcome > 0 || this.closed) {
      this.doorbell.cancelSleep();
      return;
    }
    const timeoutMs = this.timeoutMs();
    this.doorbell.wait(outcome === FAILED ? Math.min(timeoutMs, SLEEP_AFTER_ERROR_MS_MAX) : timeoutMs);
  }

  private timeoutMs(): number {
    try {
      const timeoutMs = this.agent.nextTimerMs();
      if (Number.isNaN(timeoutMs))
        throw new RangeError(`nextTimerMs must not be NaN: name=${this.agent.name}`);
      return timeoutMs;
    } catch (error) {
      this.onError(error);
      return SLEEP_AFTER_ERROR_MS_MAX;
    }
  }

  private finish(): void {
    this.doorbell.cancelSleep();
    try {
      this.agent.onClose();
    } catch (error) {
      this.onError(error);
    }
  }
}
