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
  #isFilling = false;

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

  /** Not from inside itself: what a handler does may wake a source. */
  #fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    try {
      this.#fillUp();
    } finally {
      this.#isFilling = false;
    }
  }

  #fillUp(): void {
    while (this.#running < this.#concurrency) {
      const taken = this.#sources.take(takeFrom);
      if (taken === undefined) return;
      this.#running += 1;
      this.#run(taken);
    }
  }

  /** A handler that is not async is done with when it returns: a promise for each message would cost more than it. */
  #run(taken: Taken): void {
    let result: unknown;
    try {
      result = this.#handler(taken.message);
    } catch (error) {
      this.#finish(taken, { error });
      return;
    }
    if (isThenable(result)) void this.#await(taken, result);
    else this.#finish(taken, undefined);
  }

  async #await(taken: Taken, result: PromiseLike<unknown>): Promise<void> {
    let failure: Failure | undefined;
    try {
      await result;
    } catch (error) {
      failure = { error };
    }
    this.#finish(taken, failure);
    this.#fill();
  }

  #finish({ message, source }: Taken, failure: Failure | undefined): void {
    this.#running -= 1;
    source.finish(message, failure);
    this.#sources.add(source);
  }
}

function isThenable(result: unknown): result is PromiseLike<unknown> {
  return (
    typeof result === "object" && result !== null && typeof (result as { then?: unknown }).then === "function"
  );
}
