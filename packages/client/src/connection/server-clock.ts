import type { Clock } from "../system-clock.ts";

/** The broker's time of day, as WELCOME told it: the one that records are stamped with, whatever this machine's is. */
export class ServerClock {
  readonly #clock: Clock;
  #serverMs = 0;
  #localMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  onConnected(serverTimeMs: number): void {
    this.#serverMs = serverTimeMs;
    this.#localMs = this.#clock.now();
  }

  /** ms since the epoch. */
  now(): number {
    return this.#serverMs + Math.floor(this.#clock.now() - this.#localMs);
  }
}
