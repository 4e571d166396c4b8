import { EXIT } from "./exit-code.ts";

/** The part of `process` that signals come from; tests give their own. */
export interface SignalSource {
  on(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  exit(code: number): unknown;
}

/**
 * SIGINT and SIGTERM as a request to end in order: the first aborts `signal`, the second exits at once. `dispose`
 * gives the signals their default meaning back.
 */
export class Interruption {
  readonly #source: SignalSource;
  readonly #controller = new AbortController();
  readonly #onSignal = (): void => this.#interrupt();

  constructor(source: SignalSource) {
    this.#source = source;
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
    if (this.interrupted) this.#source.exit(EXIT.INTERRUPTED);
    else this.#controller.abort();
  }
}
