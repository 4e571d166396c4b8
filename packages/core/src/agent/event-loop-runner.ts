import { Doorbell } from "../doorbell/doorbell.ts";
import type { Agent } from "./agent.ts";
import { GuardedAgent } from "./guarded-agent.ts";
import { checkRounds } from "./idle-strategy.ts";
import { nextTurn } from "./next-turn.ts";

/** Rounds a turn, so that an agent that never runs out of work leaves the loop to others in between. */
const ROUNDS_PER_TURN = 16;

/** Timers count milliseconds in 31 bits, and fire at once when asked for more. */
const TIMER_MS_MAX: number = 2 ** 31 - 1;

/** What pokes arrive at: a MessagePort of a browser or of Node. */
export interface PokePort {
  addEventListener(type: "message", listener: () => void): void;
  removeEventListener(type: "message", listener: () => void): void;
  start?(): void;
  /** Node: whether the port keeps its thread alive. */
  ref?(): void;
  unref?(): void;
}

export interface EventLoopRunnerOptions {
  /**
   * How a ring reaches this loop:
   * - a port: every message that arrives at it is a poke. The ringers attach to the doorbell with a poke that posts to its other end.
   *   Messages of other kinds do no harm; the port stays open after `close`.
   * - "wake": the host calls `wake` when a poke has reached it by a way of its own.
   * - "waitAsync": Atomics.waitAsync; ringers need no poke. No faster than a port, and not on every platform.
   */
  readonly wokenBy: PokePort | "wake" | "waitAsync";
  /**
   * Is told what `doWork`, `nextTimerMs` and `onClose` throw; the turns go on unless it calls `close`. What it throws itself ends
   * them, after `onClose`, and is an uncaught exception of the loop.
   */
  readonly onError: (error: unknown) => void;
  /** Most rounds in one turn of the loop, 1 or more; 16 unless told otherwise. */
  readonly roundsPerTurn?: number;
  /**
   * Where the platform ends a thread that has nothing left to do, as Node does: true (the default) keeps it until `close`; false
   * lets it end while the agent sleeps, however many timers it has.
   */
  readonly keepAlive?: boolean;
}

/**
 * Runs an agent on an event loop that others use too: turns of a bounded number of rounds, with the loop's other work
 * between them; when a round finds nothing it announces sleep, looks once more, and returns to the loop until rung or until the
 * agent's timer is due. The counterpart of AgentRunner for threads that must not block, as a browser's main thread.
 *
 * All methods belong to the loop's thread.
 */
export class EventLoopRunner {
  private readonly agent: GuardedAgent;
  private readonly doorbell: Doorbell;
  private readonly wokenBy: PokePort | "wake" | "waitAsync";
  private readonly roundsPerTurn: number;
  private readonly keepAlive: boolean;
  private readonly onPoke: () => void = () => this.wake();
  private readonly onTurn: () => void = () => this.turn();

  private started = false;
  private closed = false;
  private finished = false;
  private scheduled = false;
  private running = false;
  /** Counts the times asleep, so that a promise of an earlier one is told from the last. */
  private sleeps = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Keeps the thread where nothing else does. */
  private anchor: ReturnType<typeof setInterval> | undefined;

  /**
   * @param doorbell of this loop: rung by whoever publishes for the agent.
   * @throws RangeError for `roundsPerTurn` below 1; Error for "waitAsync" where the platform has no Atomics.waitAsync.
   */
  constructor(agent: Agent, doorbell: Doorbell, options: EventLoopRunnerOptions) {
    this.agent = new GuardedAgent(agent, options.onError);
    this.doorbell = doorbell;
    this.wokenBy = options.wokenBy;
    this.roundsPerTurn = checkRounds("roundsPerTurn", options.roundsPerTurn ?? ROUNDS_PER_TURN);
    if (this.roundsPerTurn === 0) throw new RangeError("roundsPerTurn must be at least 1: roundsPerTurn=0");
    this.keepAlive = options.keepAlive ?? true;
    if (options.wokenBy === "waitAsync" && !Doorbell.canWaitAsync()) {
      throw new Error("this platform has no Atomics.waitAsync: use a port");
    }
  }

  /** The first turn follows soon. @throws Error when called a second time, or after `close`. */
  start(): void {
    if (this.started || this.closed) {
      throw new Error(`agent runs already or has run: name=${this.agent.name}`);
    }
    this.started = true;
    const { wokenBy, keepAlive } = this;
    if (typeof wokenBy === "object") {
      wokenBy.addEventListener("message", this.onPoke);
      wokenBy.start?.();
      if (keepAlive) wokenBy.ref?.();
      else wokenBy.unref?.();
    } else if (keepAlive) {
      this.anchor = setInterval(() => {}, TIMER_MS_MAX);
    }
    this.wake();
  }

  /** There may be work: a turn follows soon, one however often this is called before it. */
  wake(): void {
    if (this.scheduled || !this.started || this.closed) return;
    this.scheduled = true;
    nextTurn(this.onTurn);
  }

  /** Ends the turns and tells the agent, at once or, called from inside a round, after it. Again: nothing. */
  close(): void {
    this.closed = true;
    if (!this.running) this.finish();
  }

  private turn(): void {
    this.scheduled = false;
    if (this.closed) return;
    this.comeBack();
    this.running = true;
    let failed = true;
    try {
      if (this.rounds()) this.wake();
      failed = false;
    } finally {
      this.running = false;
      if (failed || this.closed) this.finish();
    }
  }

  /** @returns whether there is more to do; if not, the agent sleeps. */
  private rounds(): boolean {
    const agent = this.agent;
    for (let round = 0; round < this.roundsPerTurn; round++) {
      if (agent.round() > 0) {
        if (this.closed) return false;
        continue;
      }
      if (this.closed) return false;
      if (this.wokenBy === "waitAsync") this.doorbell.prepareSleep();
      else this.doorbell.park();
      const found = agent.round() > 0;
      if (this.closed) return false;
      if (!found) {
        this.sleep();
        return false;
      }
      this.doorbell.cancelSleep();
      return true;
    }
    return true;
  }

  private sleep(): void {
    const timerMs = this.agent.nextTimerMs();
    if (this.closed) return;
    if (timerMs < Number.POSITIVE_INFINITY) {
      this.timer = setTimeout(this.onPoke, Math.min(Math.max(0, timerMs), TIMER_MS_MAX));
      // A number in browsers.
      if (!this.keepAlive) (this.timer as { unref?: () => void }).unref?.();
    }
    if (this.wokenBy !== "waitAsync") return;
    const sleeps = this.sleeps;
    // The doorbell resolves it also when a timer's turn has taken the announcement back.
    void this.doorbell.waitAsync().then(() => {
      if (sleeps === this.sleeps) this.wake();
    });
  }

  private comeBack(): void {
    this.sleeps++;
    this.doorbell.cancelSleep();
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.timer = undefined;
  }

  private finish(): void {
    if (this.finished) return;
    this.finished = true;
    this.closed = true;
    this.comeBack();
    if (this.anchor !== undefined) clearInterval(this.anchor);
    if (this.started && typeof this.wokenBy === "object") {
      this.wokenBy.removeEventListener("message", this.onPoke);
    }
    this.agent.close();
  }
}
