import type { MessageHandler } from "../api/consumer.ts";
import { ReadyTurns } from "../ready-turns.ts";
import { type MessageOutlet, type Taken, takeFrom } from "./message-outlet.ts";
import type { Failure, MessageSource } from "./message-source.ts";

/** Calls a handler for message after message, so many at once. */
export class HandlerRunner implements MessageOutlet {
  readonly #sources: ReadyTurns<MessageSource> = new ReadyTurns();
  readonly #handler: MessageHandler;
  readonly #concurrency: number;
  #running = 0;

  constructor(handler: MessageHandler, concurrency: number) {
    this.#handler = handler;
    this.#concurrency = concurrency;
  }

  wake(source: MessageSource): void {
    this.#sources.add(source);
    this.#fill();
  }

  remove(source: MessageSource): void {
    this.#sources.delete(source);
  }

  #fill(): void {
    while (this.#running < this.#concurrency) {
      const taken = this.#sources.take(takeFrom);
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
    this.wake(source);
  }
}
