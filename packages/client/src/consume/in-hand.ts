import type { Clock, TimerHandle } from "../system-clock.ts";
import type { ConsumedMessage } from "./consumed-message.ts";

/** The messages that are being worked on, and who waits for the last of them to be done with. */
export class InHand {
  readonly #clock: Clock;
  readonly #isQuiet: () => boolean;
  readonly #messages: Set<ConsumedMessage> = new Set();
  #waiters: (() => void)[] = [];

  /** `isQuiet` says whether nothing else is to be waited for. */
  constructor(clock: Clock, isQuiet: () => boolean) {
    this.#clock = clock;
    this.#isQuiet = isQuiet;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** Those that were lost while they were worked on. */
  get lostCount(): number {
    let count = 0;
    for (const message of this.#messages) if (message.gone !== undefined) count += 1;
    return count;
  }

  add(message: ConsumedMessage): void {
    this.#messages.add(message);
  }

  has(message: ConsumedMessage): boolean {
    return this.#messages.has(message);
  }

  delete(message: ConsumedMessage): void {
    this.#messages.delete(message);
    this.check();
  }

  /** None of them is this consumer's any more. */
  lose(error: Parameters<ConsumedMessage["lose"]>[0]): void {
    for (const message of this.#messages) message.lose(error);
  }

  /** Nothing of it is waited for any more. */
  clear(): void {
    this.#messages.clear();
    this.check();
  }

  /** Something else was done with. */
  check(): void {
    if (this.#waiters.length === 0 || this.#messages.size > 0 || !this.#isQuiet()) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves once nothing is in hand, or after so many ms. */
  async emptied(timeoutMs: number): Promise<void> {
    if (this.#messages.size === 0 && this.#isQuiet()) return;
    let timer: TimerHandle;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      timer = this.#clock.setTimer(resolve, timeoutMs);
    });
    this.#clock.clearTimer(timer);
  }
}
