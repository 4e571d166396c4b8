import type { ReceivedRecord } from "../api/record.ts";
import { refusal } from "../deferred.ts";
import { ConsumedMessage, notOfQueue } from "./consumed-message.ts";

/** A message of mode `stream` or `live`: nobody else could get it, so that there is nothing to settle. */
export class StreamMessage extends ConsumedMessage {
  readonly #mode: "stream" | "live";
  #isAcked = false;

  constructor(record: ReceivedRecord, mode: "stream" | "live") {
    super(record, 1);
    this.#mode = mode;
  }

  get isAcked(): boolean {
    return this.#isAcked;
  }

  ack(): Promise<void> {
    if (this.gone !== undefined) return refusal(this.gone);
    this.#isAcked = true;
    return Promise.resolve();
  }

  nack(): Promise<void> {
    return refusal(notOfQueue("nack", this.#mode));
  }

  release(): Promise<void> {
    return refusal(notOfQueue("release", this.#mode));
  }

  deadLetter(): Promise<void> {
    return refusal(notOfQueue("deadLetter", this.#mode));
  }

  extend(): Promise<void> {
    return Promise.resolve();
  }
}
