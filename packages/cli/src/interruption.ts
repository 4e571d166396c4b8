import { EXIT } from "./exit-code.ts";
import type { Clock } from "./system-clock.ts";

/**
 * Signals so soon after the first are the same Ctrl-C: the terminal sends it to the whole process group, and npm
 * passes its own on to us as well.
 */
const SAME_SIGNAL_MS = 500;

/** The part of `process` that signals come from; tests give their own. */
export interface SignalSource {
  on(event: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void): unknown;
  off(event: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void): unknown;
  exit(code: number): unknown;
}

/**
 * SIGINT and SIGTERM as a request to end in order: the first aborts `signal`, the second exits at once. `dispose`
 * gives the signals their default meaning back.
 */
export class Interruption {
  readonly #source: SignalSource;
  readonly #clock: Clock;
  #firstMs = 0;
  readonly #controller = new AbortController();
  readonly #onSignal = (): void => this.#interrupt();

  constructor(source: SignalSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    source.on("SIGINT", this.#onSignal);
    source.on("SIGTERM", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get interrupted(): boolean {
    return this.#controller.signal.aborted;
  }

  dispose(): void {
    this.#source.off("SIGINT", this.#onSignal);
    this.#source.off("SIGTERM", this.#onSignal);
  }

  #interrupt(): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.interrupted) {
      this.#firstMs = nowMs;
      this.#controller.abort();
    } else if (nowMs - this.#firstMs >= SAME_SIGNAL_MS) this.#source.exit(EXIT.INTERRUPTED);
  }
}
