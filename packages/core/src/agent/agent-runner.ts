import type { Agent } from "./agent.ts";
import { GuardedAgent } from "./guarded-agent.ts";
import type { IdleStrategy } from "./idle-strategy.ts";

/**
 * The duty cycle of a thread that does nothing else: rounds of work, and between them whatever its idle strategy does. After
 * Agrona's AgentRunner.
 *
 * It blocks the thread's event loop, so messages to such a worker must be fetched by the agent itself
 * (`receiveMessageOnPort`); EventLoopRunner is for threads that have a loop to share. All methods belong to the one thread.
 */
export class AgentRunner {
  private readonly agent: GuardedAgent;
  private readonly idleStrategy: IdleStrategy;
  private closed = false;
  private started = false;

  /**
   * @param idleStrategy of this runner alone.
   * @param onError is told what `doWork`, `nextTimerMs` and `onClose` throw; the rounds go on unless it calls `close`. What
   * it throws itself ends `run`, after `onClose`.
   */
  constructor(agent: Agent, idleStrategy: IdleStrategy, onError: (error: unknown) => void) {
    this.agent = new GuardedAgent(agent, onError);
    this.idleStrategy = idleStrategy;
  }

  /**
   * Runs rounds until `close` is called from inside one.
   *
   * @throws Error when called a second time, and what `onError` or the idle strategy throw.
   */
  run(): void {
    if (this.started) throw new Error(`agent runs already or has run: name=${this.agent.name}`);
    this.started = true;
    const { agent, idleStrategy } = this;
    try {
      while (!this.closed) {
        const outcome = agent.round();
        if (this.closed) break;
        idleStrategy.idle(outcome, agent);
      }
    } finally {
      idleStrategy.reset();
      agent.close();
    }
  }

  /** Ends `run` after the current round. Called by the agent or `onError`, on the agent's thread. */
  close(): void {
    this.closed = true;
  }
}
