import { MillraceError } from "@millrace/protocol";
import type { RecordReader } from "../subscribe/record-reader.ts";
import type { Clock } from "../system-clock.ts";
import type { ConsumedMessage } from "./consumed-message.ts";
import type { ConsumerPart, PartHandlers } from "./consumer-part.ts";
import { InHand } from "./in-hand.ts";
import type { Failure } from "./message-source.ts";
import { StreamMessage } from "./stream-message.ts";

/** Consumes what is published from now on: a reader without a place that the broker would keep. */
export class LivePart implements ConsumerPart {
  readonly #open: (onWake: () => void) => RecordReader;
  readonly #hasHandler: boolean;
  readonly #handlers: PartHandlers;
  readonly #inHand: InHand<ConsumedMessage>;
  #reader: RecordReader | undefined;
  #isClosing = false;

  constructor(
    open: (onWake: () => void) => RecordReader,
    hasHandler: boolean,
    clock: Clock,
    handlers: PartHandlers,
  ) {
    this.#open = open;
    this.#hasHandler = hasHandler;
    this.#handlers = handlers;
    this.#inHand = new InHand(clock, () => true);
  }

  /** @throws MillraceError INVALID_FROM */
  start(): void {
    const reader = this.#open(() => this.#onWake());
    this.#reader = reader;
    reader.ready().then(
      () => this.#handlers.onAccepted(),
      () => this.#onWake(),
    );
  }

  take(): ConsumedMessage | undefined {
    const record = this.#isClosing ? undefined : this.#reader?.takeRecord();
    if (record === undefined) return undefined;
    const message = new StreamMessage(record, "live");
    if (this.#hasHandler) this.#inHand.add(message);
    return message;
  }

  finish(message: ConsumedMessage, failure: Failure | undefined): void {
    if (failure !== undefined) this.#handlers.onError(failure.error, message);
    this.#inHand.delete(message);
  }

  pass(): void {}

  commit(): Promise<void> {
    return Promise.resolve();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    await this.#inHand.emptied(timeoutMs);
    this.#inHand.lose(
      new MillraceError("CLOSED", "the consumer was closed before the message was done with"),
    );
    await this.#reader?.close();
  }

  end(error: MillraceError): void {
    this.#isClosing = true;
    this.#reader?.end(error);
    this.#inHand.lose(error);
  }

  #onWake(): void {
    if (this.#isClosing || this.#reader === undefined) return;
    const { failure } = this.#reader;
    if (failure === undefined) {
      this.#handlers.onMessages();
      return;
    }
    this.#isClosing = true;
    this.#handlers.onFailed(failure);
  }
}
