import type { MessageHandler } from "../api/consumer.ts";
import type { Failure } from "./message-source.ts";
import { SourceTurns, type Taken } from "./source-turns.ts";

/** Calls a handler for message after message, so many at once. */
export class HandlerRunner {
  readonly sources: SourceTurns = new SourceTurns();
  readonly #handler: MessageHandler;
  readonly #concurrency: number;
  #running = 0;

  constructor(handler: MessageHandler, concurrency: number) {
    this.#handler = handler;
    this.#concurrency = concurrency;
  }

  /** There may be messages. */
  wake(): void {
    while (this.#running < this.#concurrency) {
      const taken = this.sources.take();
      if (taken === undefined) return;
      this.#running += 1;
      void this.#run(taken);
    }
  }

  async #run({ message, source }: Taken): Promise<void> {
    let failure: Failure | undefined;
    try {
      await this.#handler(message);
    } catch (error) {
      failure = { error };
    }
    this.#running -= 1;
    source.finish(message, failure);
    this.wake();
  }
}
