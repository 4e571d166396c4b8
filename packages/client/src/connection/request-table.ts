import { type FrameWriter, LIMITS, MillraceError } from "@millrace/protocol";
import type { RequestOptions } from "../api/topics.ts";
import { abortedError } from "../settings.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { Connection } from "./connection.ts";

/** What is asked of the broker. */
export interface RequestSpec<T> {
  /** For error messages. */
  readonly what: string;
  /** Whether it may be sent again when the connection is lost before its answer. */
  readonly isRepeatable: boolean;
  encode(writer: FrameWriter, requestId: number): void;
  /** The answer, as the router decoded it, in the caller's terms. */
  answer(value: unknown): T;
}

interface Request {
  readonly spec: RequestSpec<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: MillraceError) => void;
  readonly timer: TimerHandle;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
  isSent: boolean;
}

/** Those of requests become ids of subscriptions, which must lie below the broker's ids of consumers. */
const ID_MAX = 2 ** 23 - 1;

/** Requests that wait for their answer, or for a connection. Bounded by what the protocol allows in flight. */
export class RequestTable {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #requests: Map<number, Request> = new Map();
  #connection: Connection | undefined;
  #lastId = 0;
  #isKept: (id: number) => boolean = () => false;
  /** Set once the client is closed. */
  #closed: MillraceError | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Requests without an answer in this session. */
  get underWay(): number {
    let count = 0;
    for (const request of this.#requests.values()) if (request.isSent) count += 1;
    return count;
  }

  /**
   * Sends now or with the next connection; rejects with the broker's error, TIMEOUT, ABORTED, CONNECTION_LOST, CLOSED.
   */
  request<T>(spec: RequestSpec<T>, options: RequestOptions = {}): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs } = options;
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(abortedError(signal));
    if (this.#requests.size >= LIMITS.requestsInFlightMax) {
      const message = `too many requests without an answer: ${this.#requests.size}`;
      return Promise.reject(new MillraceError("TOO_MANY_REQUESTS", message));
    }
    const id = this.nextId();
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => this.#settle(id)?.reject(abortedError(signal as AbortSignal));
      signal?.addEventListener("abort", onAbort, { once: true });
      const timer = this.#clock.setTimer(() => {
        const error = new MillraceError("TIMEOUT", `no answer to ${spec.what} within ${timeoutMs} ms`);
        this.#settle(id)?.reject(error);
      }, timeoutMs);
      const settle = resolve as (value: unknown) => void;
      const request: Request = { spec, resolve: settle, reject, timer, signal, onAbort, isSent: false };
      this.#requests.set(id, request);
      if (this.#connection !== undefined) this.#send(this.#connection, id, request);
    });
  }

  /** Options for requests that are one to the caller: called before each, they have the time that is left of one. */
  inTurn(options: RequestOptions = {}): () => RequestOptions {
    const { signal, timeoutMs = this.#timeoutMs } = options;
    const deadlineMs = this.#clock.now() + timeoutMs;
    return () => {
      const leftMs = Math.ceil(deadlineMs - this.#clock.now());
      return { signal, timeoutMs: Math.max(0, Math.min(timeoutMs, leftMs)) };
    };
  }

  /** An id for a frame whose answer is not awaited here. */
  nextId(): number {
    do this.#lastId = this.#lastId >= ID_MAX ? 1 : this.#lastId + 1;
    while (this.#requests.has(this.#lastId) || this.#isKept(this.#lastId));
    return this.#lastId;
  }

  /** Ids that live on with what they name are not given out meanwhile: `isKept` says which they are. */
  keep(isKept: (id: number) => boolean): void {
    const others = this.#isKept;
    this.#isKept = (id) => isKept(id) || others(id);
  }

  onConnected(connection: Connection): void {
    this.#connection = connection;
    for (const [id, request] of this.#requests) this.#send(connection, id, request);
  }

  /** No new requests in this session. */
  onDraining(): void {
    this.#connection = undefined;
  }

  onDisconnected(cause: MillraceError): void {
    this.#connection = undefined;
    for (const [id, request] of [...this.#requests]) {
      if (!request.isSent) continue;
      request.isSent = false;
      if (request.spec.isRepeatable) continue;
      const message = `the connection was lost before the answer to ${request.spec.what}`;
      this.#settle(id)?.reject(new MillraceError("CONNECTION_LOST", message, { cause }));
    }
  }

  /** The answer to a request; of one that is no longer waited for it is ignored. */
  onAnswer(id: number, value: unknown): void {
    const request = this.#settle(id);
    request?.resolve(request.spec.answer(value));
  }

  /** An ERROR with a request's id; false when there is no such request. */
  onError(id: number, error: MillraceError): boolean {
    const request = this.#settle(id);
    request?.reject(error);
    return request !== undefined;
  }

  /** Rejects everything, from now on too. */
  abort(error: MillraceError): void {
    this.#connection = undefined;
    this.#closed = error;
    for (const id of [...this.#requests.keys()]) this.#settle(id)?.reject(error);
  }

  #send(connection: Connection, id: number, request: Request): void {
    request.isSent = true;
    connection.sendFrame((writer) => request.spec.encode(writer, id), undefined);
  }

  #settle(id: number): Request | undefined {
    const request = this.#requests.get(id);
    if (request === undefined) return undefined;
    this.#requests.delete(id);
    this.#clock.clearTimer(request.timer);
    request.signal?.removeEventListener("abort", request.onAbort);
    return request;
  }
}
