import type { Agent } from "./agent.ts";
import { GuardedAgent } from "./guarded-agent.ts";

/**
 * Runs an agent in somebody else's duty cycle: a game's frame, a test, another agent that has several. The same care for errors as
 * AgentRunner, and no idling. After Agrona's AgentInvoker. All methods belong to the agent's one thread.
 */
export class AgentInvoker {
  private readonly agent: GuardedAgent;
  private closed = false;

  /** @param onError is told what `doWork`, `nextTimerMs` and `onClose` throw. What it throws itself reaches the caller. */
  constructor(agent: Agent, onError: (error: unknown) => void) {
    this.agent = new GuardedAgent(agent, onError);
  }

  /** One round. @returns how much was done; 0 too when it threw, and after `close`. */
  invoke(): number {
    return this.closed ? 0 : Math.max(0, this.agent.round());
  }

  /** Milliseconds until the agent's next timer, at most 10 after a round that threw; Infinity after `close`. */
  nextTimerMs(): number {
    return this.closed ? Number.POSITIVE_INFINITY : this.agent.nextTimerMs();
  }

  /** Ends the rounds and tells the agent; again: nothing. */
  close(): void {
    this.closed = true;
    this.agent.close();
  }
}
