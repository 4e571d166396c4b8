import { MillraceError } from "@millrace/protocol";
import type { Message, NackOptions } from "../api/message.ts";
import type { HeaderValue, ReceivedRecord } from "../api/record.ts";

/** What the messages of all modes have in common: the record, and the signal, which is made only for those who ask. */
export abstract class ConsumedMessage implements Message {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | Uint8Array | undefined;
  readonly headers: Readonly<Record<string, HeaderValue>> | undefined;
  readonly value: unknown;
  #deliveryCount: number;
  #controller: AbortController | undefined;
  #gone: MillraceError | undefined;

  constructor(record: ReceivedRecord, deliveryCount: number) {
    this.topic = record.topic;
    this.partition = record.partition;
    this.offset = record.offset;
    this.timestamp = record.timestamp;
    this.key = record.key;
    this.headers = record.headers;
    this.value = record.value;
    this.#deliveryCount = deliveryCount;
  }

  get deliveryCount(): number {
    return this.#deliveryCount;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#gone !== undefined) this.#controller.abort(this.#gone);
    }
    return this.#controller.signal;
  }

  /** Why it is no longer this consumer's; undefined while it is. */
  get gone(): MillraceError | undefined {
    return this.#gone;
  }

  /** It is no longer this consumer's. */
  lose(error: MillraceError): void {
    if (this.#gone !== undefined) return;
    this.#gone = error;
    this.#controller?.abort(error);
  }

  /** It is handed out once more. */
  countDelivery(): void {
    this.#deliveryCount += 1;
  }

  abstract ack(): Promise<void>;
  abstract nack(options?: NackOptions): Promise<void>;
  abstract release(): Promise<void>;
  abstract deadLetter(reason: string): Promise<void>;
  abstract extend(ms?: number): Promise<void>;
}

/** For what only messages of a queue can do. */
export function notOfQueue(what: string, mode: string): MillraceError {
  return new MillraceError("SUBSCRIPTION_MODE", `${what} has no meaning in mode ${mode}: there is no lease`);
}
