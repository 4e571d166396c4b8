import { MillraceError } from "@millrace/protocol";
import type { ConsumeOptions, Consumer, HandlerOptions, MessageHandler } from "../api/consumer.ts";
import type { Message } from "../api/message.ts";
import type { Producer, ProducerOptions } from "../api/producer.ts";
import type { HeaderValue } from "../api/record.ts";
import type { RequestHandler, RespondOptions } from "../api/request-reply.ts";
import type { ServerClock } from "../connection/server-clock.ts";
import { REQUEST_HEADER, RESPONDERS } from "./request-headers.ts";

/** What responders need of their client. */
export interface ResponderContext {
  readonly serverClock: ServerClock;
  producer(topic: string, options: ProducerOptions): Producer;
  consume(topic: string, options: ConsumeOptions, handler: MessageHandler, more: HandlerOptions): Consumer;
}

/** Inboxes whose producers are kept for the next reply. */
const INBOXES_MAX = 1_000;
/** A reply that cannot be published in this time is given up. */
const REPLY_TIMEOUT_MS = 30_000;

/** Answers requests. One for all responders of a client, since it keeps the way to the inboxes. */
export class Responders {
  readonly #context: ResponderContext;
  /** By the inbox's topic, the least recently used first. */
  readonly #inboxes: Map<string, Producer> = new Map();

  constructor(context: ResponderContext) {
    this.#context = context;
  }

  respond(topic: string, handler: RequestHandler, options: RespondOptions): Consumer {
    const { leaseMs, ...more } = options;
    const consume: ConsumeOptions = { subscription: RESPONDERS, mode: "queue", leaseMs };
    return this.#context.consume(topic, consume, (request) => this.#answer(request, handler), more);
  }

  async #answer(request: Message, handler: RequestHandler): Promise<void> {
    if (this.#isExpired(request)) return;
    let value: unknown;
    let failure: string | undefined;
    try {
      value = await handler(request);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    const inbox = headerOf(request, REQUEST_HEADER.REPLY_TO);
    const id = headerOf(request, REQUEST_HEADER.CORRELATION_ID);
    if (inbox === undefined || id === undefined) return;
    const headers: Record<string, HeaderValue> = { [REQUEST_HEADER.CORRELATION_ID]: id };
    if (failure !== undefined) headers[REQUEST_HEADER.ERROR] = failure;
    try {
      await this.#inboxOf(inbox).send({ headers, value: value ?? null });
    } catch (error) {
      this.#forget(inbox);
      // The requester has gone, or has never been: nobody waits for the reply.
      if (!(error instanceof MillraceError) || error.retriable) throw error;
    }
  }

  #isExpired({ headers, timestamp }: Message): boolean {
    const expiration = Number(headers?.[REQUEST_HEADER.EXPIRATION] ?? Number.NaN);
    return this.#context.serverClock.now() > timestamp + expiration;
  }

  #inboxOf(topic: string): Producer {
    const known = this.#inboxes.get(topic);
    this.#inboxes.delete(topic);
    const producer =
      known ?? this.#context.producer(topic, { lingerMs: 0, deliveryTimeoutMs: REPLY_TIMEOUT_MS });
    this.#inboxes.set(topic, producer);
    if (this.#inboxes.size > INBOXES_MAX) {
      for (const oldest of this.#inboxes.keys()) {
        this.#forget(oldest);
        break;
      }
    }
    return producer;
  }

  #forget(topic: string): void {
    const producer = this.#inboxes.get(topic);
    this.#inboxes.delete(topic);
    producer?.close().catch(() => {});
  }
}

function headerOf({ headers }: Message, name: string): string | undefined {
  const value = headers?.[name];
  return typeof value === "string" ? value : undefined;
}
