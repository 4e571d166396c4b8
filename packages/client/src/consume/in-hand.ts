import type { Clock, TimerHandle } from "../system-clock.ts";
import type { ConsumedMessage } from "./consumed-message.ts";

/** The messages that are being worked on, and who waits for the last of them to be done with. */
export class InHand<M extends ConsumedMessage> {
  readonly #clock: Clock;
  readonly #isQuiet: () => boolean;
  readonly #messages: Set<M> = new Set();
  #waiters: { readonly isOver: () => boolean; readonly wake: () => void }[] = [];

  /** `isQuiet` says whether nothing else is to be waited for. */
  constructor(clock: Clock, isQuiet: () => boolean) {
    this.#clock = clock;
    this.#isQuiet = isQuiet;
  }

  get size(): number {
    return this.#messages.size;
  }

  [Symbol.iterator](): IterableIterator<M> {
    return this.#messages.values();
  }

  add(message: M): void {
    this.#messages.add(message);
  }

  has(message: M): boolean {
    return this.#messages.has(message);
  }

  delete(message: M): void {
    this.#messages.delete(message);
    this.check();
  }

  /** None of them is this consumer's any more. */
  lose(error: Parameters<M["lose"]>[0]): void {
    for (const message of this.#messages) message.lose(error);
  }

  /** Nothing of it is waited for any more. */
  clear(): void {
    this.#messages.clear();
    this.check();
  }

  /** Something was done with. */
  check(): void {
    if (this.#waiters.length === 0) return;
    const over = this.#waiters.filter(({ isOver }) => isOver());
    this.#waiters = this.#waiters.filter((waiter) => !over.includes(waiter));
    for (const { wake } of over) wake();
  }

  /** Resolves once nothing is in hand, or after so many ms. */
  emptied(timeoutMs: number): Promise<void> {
    return this.#until(() => this.#messages.size === 0 && this.#isQuiet(), timeoutMs);
  }

  /** Resolves once that message is not in hand, or after so many ms. */
  finished(message: M, timeoutMs: number): Promise<void> {
    return this.#until(() => !this.#messages.has(message), timeoutMs);
  }

  async #until(isOver: () => boolean, timeoutMs: number): Promise<void> {
    if (isOver()) return;
    let timer: TimerHandle;
    await new Promise<void>((wake) => {
      this.#waiters.push({ isOver, wake });
      timer = this.#clock.setTimer(wake, timeoutMs);
    });
    this.#clock.clearTimer(timer);
  }
}
