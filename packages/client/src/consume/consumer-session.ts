import {
  type AssignedFrame,
  type ConsumingFrame,
  encodeConsume,
  encodeConsumerCredit,
  encodeStopConsuming,
  type FrameWriter,
  type LeasedFrame,
  LIMITS,
  MillraceError,
  type RevokedFrame,
  type SettledFrame,
} from "@millrace/protocol";
import { Backoff } from "../backoff.ts";
import type { Connection } from "../connection/connection.ts";
import type { RequestTable } from "../connection/request-table.ts";
import { Deferred, refusal } from "../deferred.ts";
import type { Entropy } from "../entropy.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { Consumers } from "./consumers.ts";

/** What consuming needs of its client. */
export interface ConsumeContext {
  readonly consumers: Consumers;
  readonly requests: RequestTable;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** What CONSUME says, apart from the credit. */
export interface ConsumeTarget {
  readonly topic: string;
  readonly subscription: string;
  readonly mode: string;
  /** undefined: the subscription must exist. */
  readonly create: Readonly<Record<string, unknown>> | undefined;
}

/** What a consumer may have: messages (none for a stream) and bytes, as in CONSUME. */
export interface Demand {
  readonly slots: number;
  readonly creditLimit: number;
}

/** Whoever consumes over the session. */
export interface SessionHandlers {
  /** A session is about to begin. */
  demand(frameBytesMax: number): Demand;
  onConsuming(frame: ConsumingFrame): void;
  /** The session is over: everything in hand is lost. `beginsAnew`: another one is made by itself. */
  onLost(error: MillraceError, beginsAnew: boolean): void;
  /** It is over for good, after `onLost` if there was a session. */
  onFailed(error: MillraceError): void;
  /** The broker is about to stop. */
  onDraining(): void;
  /** Whether a drain need not wait for anything of this consumer. */
  isQuiet(): boolean;
  onLeased(frame: LeasedFrame): void;
  onSettled(frame: SettledFrame): void;
  onAssigned(frame: AssignedFrame): void;
  onRevoked(frame: RevokedFrame): void;
  onDeliver(partition: number, bytes: Uint8Array, nextOffset: number): void;
  onProgress(partition: number, nextOffset: number, reason: string): void;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
const STOP_MS = 5_000;
/**
 * Final as answers, but not for a consumer: the broker knows it no more, or somebody else created the subscription at the
 * same moment. Another consumer can be made.
 */
const ANOTHER_TRY: ReadonlySet<string> = new Set([
  "UNKNOWN_CONSUMER",
  "ASSIGNMENT_LOST",
  "SUBSCRIPTION_EXISTS",
]);

/** One consumer in the eyes of the broker, made anew with each connection and after each error that allows it. */
export class ConsumerSession {
  readonly handlers: SessionHandlers;
  readonly #target: ConsumeTarget;
  readonly #context: ConsumeContext;
  readonly #backoff: Backoff;
  readonly #asked: Map<number, Deferred<unknown>> = new Map();
  #connection: Connection | undefined;
  /** Of a CONSUME without an answer. */
  #consumeId: number | undefined;
  #consumerId: number | undefined;
  /** Whether the broker has accepted the consumer at least once: a subscription that is missing then was deleted. */
  #wasAccepted = false;
  #retryTimer: TimerHandle;
  /** No session is begun any more. */
  #isStopping = false;
  #isEnded = false;

  constructor(target: ConsumeTarget, context: ConsumeContext, handlers: SessionHandlers) {
    this.#target = target;
    this.#context = context;
    this.handlers = handlers;
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, () => context.entropy.fraction());
  }

  /** Whether the broker has accepted the consumer, in this session. */
  get isConsuming(): boolean {
    return this.#consumerId !== undefined;
  }

  /** The broker's name for it; frames say it. */
  get consumerId(): number | undefined {
    return this.#consumerId;
  }

  start(): void {
    this.#context.consumers.add(this);
    this.#open();
  }

  /** Sends a frame about this consumer, if the broker knows it. */
  send<F>(encode: (writer: FrameWriter, frame: F) => void, frame: (consumerId: number) => F): void {
    if (this.#consumerId !== undefined) this.#connection?.sendFrame(encode, frame(this.#consumerId));
  }

  sendCredit({ slots, creditLimit }: Demand): void {
    this.send(encodeConsumerCredit, (consumerId) => ({ consumerId, slots, creditLimit }));
  }

  /** Sends a request about this consumer; rejects with CONNECTION_LOST when the session ends before the answer. */
  ask<T>(encode: (writer: FrameWriter, requestId: number, consumerId: number) => void): Promise<T> {
    const consumerId = this.#consumerId;
    if (consumerId === undefined) {
      return refusal(new MillraceError("CONNECTION_LOST", "the consumer has no session at present"));
    }
    const { requests, consumers } = this.#context;
    const requestId = requests.nextId();
    const asked = new Deferred<unknown>();
    this.#asked.set(requestId, asked);
    consumers.expect(requestId, this);
    this.#connection?.sendFrame((writer) => encode(writer, requestId, consumerId), undefined);
    return asked.promise as Promise<T>;
  }

  /** No new session after this one. */
  stopReopening(): void {
    this.#isStopping = true;
    this.#context.clock.clearTimer(this.#retryTimer);
  }

  /** Leaves; resolves when the broker says so, or cannot be asked. */
  async stop(): Promise<void> {
    this.stopReopening();
    if (this.#consumerId !== undefined) {
      const { clock } = this.#context;
      let timer: TimerHandle;
      const late = new Promise<void>((resolve) => {
        timer = clock.setTimer(resolve, STOP_MS);
      });
      const stopped = this.ask<void>((writer, requestId, consumerId) =>
        encodeStopConsuming(writer, { requestId, consumerId }),
      );
      await Promise.race([stopped.catch(() => {}), late]);
      clock.clearTimer(timer);
    }
    this.end();
  }

  /** Ends without a word to the broker. */
  end(): void {
    if (this.#isEnded) return;
    this.stopReopening();
    this.#isEnded = true;
    this.#forget(new MillraceError("CLOSED", "the consumer is closed"));
    this.#context.consumers.remove(this);
  }

  // From the router.

  onConnected(): void {
    this.#open();
  }

  onDisconnected(cause: MillraceError): void {
    this.#context.clock.clearTimer(this.#retryTimer);
    this.#lose(new MillraceError("CONNECTION_LOST", "the connection was lost", { cause }), true);
  }

  onConsuming(frame: ConsumingFrame): void {
    if (this.#isEnded) return;
    this.#consumeId = undefined;
    this.#consumerId = frame.consumerId;
    this.#wasAccepted = true;
    this.#context.consumers.bind(frame.consumerId, this);
    this.#backoff.reset();
    this.handlers.onConsuming(frame);
  }

  onAnswer(requestId: number, answer: unknown): void {
    const asked = this.#asked.get(requestId);
    this.#asked.delete(requestId);
    asked?.resolve(answer);
  }

  /** An ERROR about a request of this consumer. */
  onRefused(requestId: number, error: MillraceError): void {
    const asked = this.#asked.get(requestId);
    if (asked !== undefined) {
      this.#asked.delete(requestId);
      asked.reject(error);
    } else if (requestId === this.#consumeId) {
      this.onError(error);
    }
  }

  /** An ERROR after which the consumer is over, in this session at least. */
  onError(error: MillraceError): void {
    const isRetriable = error.retriable || ANOTHER_TRY.has(error.code);
    this.#lose(error, isRetriable);
    if (this.#isStopping || this.#isEnded) return;
    if (isRetriable) {
      const { clock } = this.#context;
      clock.clearTimer(this.#retryTimer);
      this.#retryTimer = clock.setTimer(() => this.#open(), this.#backoff.next());
    } else {
      this.end();
      this.handlers.onFailed(error);
    }
  }

  #open(): void {
    const { consumers, requests } = this.#context;
    const { connection, welcome } = consumers;
    if (this.#isStopping || this.#connection !== undefined) return;
    if (connection === undefined || welcome === undefined) return;
    const { topic, subscription, mode, create } = this.#target;
    const requestId = requests.nextId();
    const frameBytesMax = welcome.limits.deliverFrameBytesMax ?? LIMITS.deliverFrameBytesMax;
    const { slots, creditLimit } = this.handlers.demand(frameBytesMax);
    this.#connection = connection;
    this.#consumeId = requestId;
    consumers.expect(requestId, this);
    connection.sendFrame(encodeConsume, {
      requestId,
      topic,
      subscription,
      mode,
      slots,
      creditLimit,
      create: this.#wasAccepted ? undefined : create,
      extensions: {},
    });
  }

  #lose(error: MillraceError, beginsAnew: boolean): void {
    const wasOpen = this.#connection !== undefined;
    this.#forget(error);
    if (wasOpen) this.handlers.onLost(error, beginsAnew && !this.#isStopping);
  }

  #forget(error: MillraceError): void {
    const { consumers } = this.#context;
    if (this.#consumerId !== undefined) consumers.unbind(this.#consumerId);
    this.#connection = undefined;
    this.#consumerId = undefined;
    this.#consumeId = undefined;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const one of asked) one.reject(error);
  }
}
