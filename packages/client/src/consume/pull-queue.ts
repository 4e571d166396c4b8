import type { MillraceError } from "@millrace/protocol";
import type { Message } from "../api/message.ts";
import { ReadyTurns } from "../ready-turns.ts";
import { TakeIterator } from "../subscribe/take-iterator.ts";
import { type MessageOutlet, type Taken, takeFrom } from "./message-outlet.ts";
import type { MessageSource } from "./message-source.ts";

/** Hands messages to whoever asks for them. */
export class PullQueue implements MessageOutlet {
  readonly #sources: ReadyTurns<MessageSource> = new ReadyTurns();
  #last: Taken | undefined;
  #waiters: (() => void)[] = [];
  #isEnded = false;
  #failure: MillraceError | undefined;

  wake(source: MessageSource): void {
    this.#sources.add(source);
    this.#wakeAll();
  }

  remove(source: MessageSource): void {
    this.#sources.delete(source);
  }

  #wakeAll(): void {
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Nothing more will come. */
  end(error: MillraceError | undefined): void {
    this.#isEnded = true;
    this.#failure = error;
    this.#wakeAll();
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
    if (last !== undefined) {
      last.source.pass(last.message);
      this.#sources.add(last.source);
    }
    this.#last = this.#sources.take(takeFrom);
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
