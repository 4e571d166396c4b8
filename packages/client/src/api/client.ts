import type { MillraceError } from "@millrace/protocol";
import type { TlsOptions } from "../connection/transport.ts";
import type { ConsumeOptions, Consumer, HandlerOptions, MessageHandler, PullConsumer } from "./consumer.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Producer, ProducerOptions } from "./producer.ts";
import type { AskOptions, Reply, RequestHandler, Responder, RespondOptions } from "./request-reply.ts";
import type { Gap, SubscribeOptions, Subscription } from "./subscription.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { Topics } from "./topics.ts";

/** Options of `connect`. */
export interface ConnectOptions {
  /** Told to the broker, for its logs. Default "millrace-client". At most 256 bytes. */
  readonly name?: string | undefined;
  /** Time for the WebSocket and the handshake of one attempt. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * False (the default): `connect` rejects with CONNECT_FAILED when its first attempt fails. True: it goes on trying
   * like a reconnect, until `signal` aborts or the broker refuses for good.
   */
  readonly retryFirstConnect?: boolean | undefined;
  /** Reconnect after a lost connection. Default true; false closes the client instead. */
  readonly reconnect?: boolean | undefined;
  /** The n-th pause before a reconnect is random between 0 and min(max, min * 2^n). Default 100. */
  readonly reconnectBackoffMinMs?: number | undefined;
  /** Default 10,000. */
  readonly reconnectBackoffMaxMs?: number | undefined;
  /** Default for requests such as `topics.create`. Default 30,000. */
  readonly requestTimeoutMs?: number | undefined;
  /** A PING is sent this often. Default 15,000. */
  readonly pingIntervalMs?: number | undefined;
  /** A connection that has been silent for so long is given up. Default 45,000. */
  readonly deadAfterMs?: number | undefined;
  /** Longest that `close()` waits for unacknowledged records. Default 10,000. */
  readonly closeTimeoutMs?: number | undefined;
  /**
   * With a broker of several nodes, publish each partition straight to the node that owns it where that can be reached, over
   * a connection more for each such node; otherwise the node of this connection forwards. Default true.
   */
  readonly direct?: boolean | undefined;
  /** Aborts connecting (rejects with ABORTED); later it closes the client. */
  readonly signal?: AbortSignal | undefined;
  /** Extra HTTP headers of the WebSocket upgrade. Node only: browsers do not allow it. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Of `wss:` URLs. Node only: browsers trust what they trust. */
  readonly tls?: TlsOptions | undefined;
}

/**
 * `connecting`: before the first WELCOME. `connected`: usable. `draining`: the broker is about to stop, what is under
 * way is finished. `reconnecting`: between connections; requests and records wait. `closed`: for good.
 */
export type ClientState = "connecting" | "connected" | "draining" | "reconnecting" | "closed";

/** Events of a client and what their listeners are given. */
export interface ClientEvents {
  /** The state changed. */
  state: ClientState;
  /** A connection was lost or could not be made; the client goes on by itself. */
  disconnected: MillraceError;
  /** A connection was made, also the first one. */
  connected: { readonly serverName: string; readonly sessionId: number };
  /** Offsets that a subscription will not deliver; see also `onGap` of `subscribe`. */
  gap: Gap;
  /** The client closed: without an error after `close()`, else with the reason. */
  closed: MillraceError | undefined;
}

/** One client: a WebSocket that is made again when it is lost, with its producers and subscriptions. */
export interface Client {
  readonly url: string;
  /** What the broker calls itself, such as `millrace/0.1.0`; undefined before the first connection. */
  readonly serverName: string | undefined;
  readonly state: ClientState;
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly deadLetters: DeadLetters;
  /** Does not wait for the broker: an unknown topic shows in the producer's promises. */
  producer(topic: string, options?: ProducerOptions): Producer;
  /**
   * Reads a topic, for oneself alone and without the broker keeping a position. The topic may be a pattern: `orders.*` (one
   * word) or `orders.>` (the rest of the name) reads all topics of such a name, also those made later, from their beginning.
   * Does not wait for the broker: an unknown topic shows in the iteration, and in `ready()`.
   */
  subscribe(topic: string, options?: SubscribeOptions): Subscription;
  /**
   * Takes part in a subscription of a topic: the messages are given to a handler, or are pulled out of the consumer, which
   * is then an async iterable. In mode `stream` and `live` the topic may be a pattern, as for `subscribe`. Does not wait for
   * the broker: what it refuses shows in `ready()` and `closed`.
   */
  consume(topic: string, options: ConsumeOptions, handler: MessageHandler, more?: HandlerOptions): Consumer;
  consume(topic: string, options: ConsumeOptions): PullConsumer;
  /**
   * Publishes a request and waits for the reply of one of the topic's responders. Rejects with NO_RESPONDERS at once when
   * there is none, TIMEOUT, what publishing rejects with, or REQUEST_FAILED with the message of what the handler threw.
   */
  request(topic: string, value: unknown, options?: AskOptions): Promise<Reply>;
  /**
   * Answers requests on a topic, together with everybody else who does: each request goes to one of them. They are consumers of
   * the topic's subscription `responders`, of mode `queue`, which is created when there is none.
   */
  respond(topic: string, handler: RequestHandler, options?: RespondOptions): Responder;
  /** Returns a function that removes the listener. A listener must not throw. */
  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void;
  /**
   * Ends all subscriptions, closes all consumers and flushes all producers (for at most `closeTimeoutMs`; what is then not
   * acknowledged rejects with CLOSED), closes the connection. Never rejects; everything afterwards is refused with CLOSED.
   */
  close(): Promise<void>;
}
