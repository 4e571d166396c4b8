import type { MillraceError } from "@millrace/protocol";
import type { Message } from "../api/message.ts";
import { TakeIterator } from "../subscribe/take-iterator.ts";
import { SourceTurns, type Taken } from "./source-turns.ts";

/** Hands messages to whoever asks for them. */
export class PullQueue {
  readonly sources: SourceTurns = new SourceTurns();
  #last: Taken | undefined;
  #waiters: (() => void)[] = [];
  #isEnded = false;
  #failure: MillraceError | undefined;

  /** There may be messages. */
  wake(): void {
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Nothing more will come. */
  end(error: MillraceError | undefined): void {
    this.#isEnded = true;
    this.#failure = error;
    this.wake();
  }

  iterate(onReturn: () => Promise<void>): AsyncIterableIterator<Message> {
    return new TakeIterator<Message>(
      () => this.#take(),
      () => this.#more(),
      onReturn,
    );
  }

  #take(): Message | undefined {
    const last = this.#last;
    this.#last = undefined;
    last?.source.pass(last.message);
    this.#last = this.sources.take();
    return this.#last?.message;
  }

  /** Called right after a take that found nothing, so nothing can have come in between. */
  async #more(): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isEnded) return false;
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return true;
  }
}
