import type { Message } from "./message.ts";
import type { Gap, LiveOptions } from "./subscription.ts";
import type { SubscriptionMode, SubscriptionStart } from "./subscriptions.ts";

/** How a topic is consumed: by a durable subscription in one of its modes, or `live`, without one. */
export type ConsumeMode = SubscriptionMode | "live";

/** Options of `client.consume`. */
export interface ConsumeOptions extends LiveOptions {
  /** The subscription's name: words of A-Z a-z 0-9 _ - joined by dots. Needed unless `mode` is "live". */
  readonly subscription?: string | undefined;
  /**
   * Stated, the subscription is created if there is none, and one of another mode is refused with SUBSCRIPTION_MODE. Left
   * out, there must be one, and its mode is taken.
   */
  readonly mode?: ConsumeMode | undefined;
  /** False: UNKNOWN_SUBSCRIPTION instead of creating it. Default true. */
  readonly create?: boolean | undefined;
  /** Of a subscription that is created: where it starts. "latest" by default; "earliest" on topics that keep until acknowledged. */
  readonly from?: SubscriptionStart | undefined;
  /** Of a subscription that is created: how long a message stays leased without being renewed. The broker's default is 30,000. */
  readonly leaseMs?: number | undefined;
  /** Of a subscription that is created: deliveries after which a message is dead; 0 = without bound. The broker's default is 5. */
  readonly maxDeliveries?: number | undefined;
  /** Of a subscription that is created: pause before the first retry; doubles with each. The broker's default is 1,000. */
  readonly backoffMinMs?: number | undefined;
  /** Of a subscription that is created: longest such pause. The broker's default is 60,000. */
  readonly backoffMaxMs?: number | undefined;
  /**
   * `queue` and `keyed`: messages that this consumer may have at a time, 1..65,535. By default as many as its handler may
   * work on at once, and 1 in the pull form. More saves round trips, and keeps messages from idle consumers.
   */
  readonly prefetch?: number | undefined;
  /** `queue` and `keyed`: a message is renewed for at most so long. Default 43,200,000, which is 12 hours. */
  readonly maxLeaseMs?: number | undefined;
  /** Bytes that the broker may send ahead; at least one frame (2 MiB), to which a smaller value is raised. Default 8,388,608. */
  readonly windowBytes?: number | undefined;
  /** `stream`: false leaves committing to `consumer.commit()`. Default true. */
  readonly autoCommit?: boolean | undefined;
  /** `stream`: how often what was processed is committed. Default 1,000. */
  readonly commitIntervalMs?: number | undefined;
  /** Checks the crc32 of each batch that comes whole. Default true. */
  readonly verifyChecksums?: boolean | undefined;
  /** `stream` and `live`: told of each gap, before the message that follows it. */
  readonly onGap?: ((gap: Gap) => void) | undefined;
  /** Closes the consumer, as `close()` does. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of the handler form of `client.consume`. */
export interface HandlerOptions {
  /** Messages that are worked on at once; `stream`: one of each partition at most. Default 1. */
  readonly concurrency?: number | undefined;
}

/**
 * Works on one message. `queue` and `keyed`: once it returns the message is acked, if it throws nacked, unless it has been
 * settled by the handler. `stream`: if it throws it is called again for the same message after the subscription's back-off,
 * while the partition waits; to pass over a bad message, catch. `live`: what it throws is reported and no more.
 */
export type MessageHandler = (message: Message) => unknown;

/** Events of a consumer and what their listeners are given. */
export interface ConsumerEvents {
  /**
   * The handler threw, settling or committing failed, the consumer has to begin anew. `message` where it is about one.
   * Nothing has to be done, except about what the handler threw.
   */
  error: ConsumerError;
  /** `stream`: a partition is this consumer's now, from that offset on. */
  assigned: { readonly topic: string; readonly partition: number; readonly offset: number };
  /** `stream`: a partition is no longer this consumer's. */
  revoked: { readonly topic: string; readonly partition: number };
}

export interface ConsumerError {
  readonly error: unknown;
  readonly message?: Message | undefined;
}

export interface CloseConsumerOptions {
  /** How long what is in hand may take; what is then not settled goes back, counted as a delivery. Default 30,000. */
  readonly timeoutMs?: number | undefined;
}

/** One part in a subscription, over as many connections as it takes. */
export interface Consumer {
  readonly topic: string;
  /** Undefined in `live` mode. */
  readonly subscription: string | undefined;
  /** Resolves once the broker has accepted the consumer the first time; rejects with what ended it before. */
  ready(): Promise<void>;
  /**
   * Takes nothing more, gives back at once what was not begun, lets what is in hand be finished and settled within the
   * bound, and leaves. Never rejects.
   */
  close(options?: CloseConsumerOptions): Promise<void>;
  /**
   * Resolves when the consumer is over after `close()`; rejects with what ended it, such as UNKNOWN_TOPIC,
   * SUBSCRIPTION_MODE or SUBSCRIPTION_DELETED. Lost connections do not end it.
   */
  readonly closed: Promise<void>;
  /**
   * `stream`: commits what is done with, in every partition: in the handler form what was acked or whose handler has
   * returned, in the pull form everything that was handed out. Resolves once it is durable; a partition that was lost
   * meanwhile is left out. In other modes it does nothing.
   */
  commit(): Promise<void>;
  /** Returns a function that removes the listener. A listener must not throw. */
  on<E extends keyof ConsumerEvents>(event: E, listener: (value: ConsumerEvents[E]) => void): () => void;
}

/**
 * The pull form: messages are asked for. `queue` and `keyed`: each is to be settled; the next one comes only while fewer than
 * `prefetch` are in hand. `stream` and `live`: asking for the next message says that the ones before are done with. Leaving
 * the loop closes the consumer. The iteration rejects as `closed` does.
 */
export interface PullConsumer extends Consumer, AsyncIterable<Message> {
  [Symbol.asyncIterator](): AsyncIterableIterator<Message>;
}
