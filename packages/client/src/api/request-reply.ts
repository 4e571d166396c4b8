import type { Consumer, HandlerOptions } from "./consumer.ts";
import type { Message } from "./message.ts";
import type { HeaderValue, ReceivedRecord } from "./record.ts";

/** Options of `client.request`. */
export interface AskOptions {
  /** From the call to the reply; then TIMEOUT, and a responder that has not begun passes the request over. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** As of a record. `reply-to`, `correlation-id` and `expiration` are set by the client. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /** As of a record. */
  readonly key?: string | Uint8Array | undefined;
  /** Rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** The answer to a request. */
export type Reply = ReceivedRecord;

/**
 * Answers one request with what it returns. What it throws is given to the requester as an error with the same message; the
 * request is then answered, and not tried again. For that, `request.nack()`.
 */
export type RequestHandler = (request: Message) => unknown;

/** Options of `client.respond`. */
export interface RespondOptions extends HandlerOptions {
  /** How long a request stays leased without being renewed, if the subscription is created now. */
  readonly leaseMs?: number | undefined;
}

/** Answers requests until it is closed. */
export type Responder = Consumer;
