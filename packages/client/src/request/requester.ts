import { MillraceError } from "@millrace/protocol";
import type { Producer, ProducerOptions } from "../api/producer.ts";
import type { ReceivedRecord } from "../api/record.ts";
import type { AskOptions, Reply } from "../api/request-reply.ts";
import type { SubscribeOptions, Subscription } from "../api/subscription.ts";
import type { Subscriptions } from "../api/subscriptions.ts";
import type { Topics } from "../api/topics.ts";
import { Deferred } from "../deferred.ts";
import type { Entropy } from "../entropy.ts";
import { abortedError, checkRange, closedError, TIMER_MS_MAX } from "../settings.ts";
import type { Clock } from "../system-clock.ts";
import { REQUEST_HEADER, RESPONDERS } from "./request-headers.ts";

/** What requests need of their client. */
export interface RequesterContext {
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly clock: Clock;
  readonly entropy: Entropy;
  producer(topic: string, options: ProducerOptions): Producer;
  subscribe(topic: string, options: SubscribeOptions): Subscription;
}

interface Inbox {
  readonly topic: string;
  readonly subscription: Subscription;
}

const TIMEOUT_MS = 30_000;
/** That a topic has responders is believed for so long. */
const BELIEF_MS = 1_000;
const BELIEVED: Promise<void> = Promise.resolve();
/** Replies are read at once; what is left after so long is nobody's. */
const INBOX_RETENTION_MS = 600_000;
/** Topics whose producers are kept for the next request. */
const PRODUCERS_MAX = 256;

/** Asks, and brings the replies to those who asked. One inbox for all of a client's requests, made with the first one. */
export class Requester {
  readonly #context: RequesterContext;
  readonly #pending: Map<string, Deferred<Reply>> = new Map();
  /** Until when a topic is believed to have responders. */
  readonly #believed: Map<string, number> = new Map();
  /** Looks for a topic's responders that are under way. */
  readonly #looking: Map<string, Promise<void>> = new Map();
  readonly #producers: Map<string, Producer> = new Map();
  #inbox: Promise<Inbox> | undefined;
  #lastId = 0;
  #isClosed = false;

  constructor(context: RequesterContext) {
    this.#context = context;
  }

  async request(topic: string, value: unknown, options: AskOptions): Promise<Reply> {
    const { clock } = this.#context;
    const { timeoutMs = TIMEOUT_MS, signal } = options;
    checkRange("timeoutMs", timeoutMs, 1, TIMER_MS_MAX);
    if (this.#isClosed) throw closedError("client");
    if (signal?.aborted === true) throw abortedError(signal);
    const id = String(++this.#lastId);
    const reply = new Deferred<Reply>();
    const timer = clock.setTimer(() => {
      reply.reject(new MillraceError("TIMEOUT", `no reply from ${topic} within ${timeoutMs} ms`));
    }, timeoutMs);
    const onAbort = (): void => reply.reject(abortedError(signal as AbortSignal));
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#pending.set(id, reply);
    this.#ask(topic, value, id, options, timeoutMs).catch(reply.reject);
    try {
      return await reply.promise;
    } finally {
      clock.clearTimer(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }

  /** Rejects what waits, and deletes the inbox. Never rejects. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    for (const reply of this.#pending.values()) reply.reject(closedError("client"));
    this.#pending.clear();
    if (this.#inbox === undefined) return;
    try {
      const { topic, subscription } = await this.#inbox;
      await subscription.close();
      await this.#context.topics.delete(topic, { timeoutMs });
    } catch {
      // Its retention empties it.
    }
  }

  async #ask(
    topic: string,
    value: unknown,
    id: string,
    options: AskOptions,
    timeoutMs: number,
  ): Promise<void> {
    const [inbox] = await Promise.all([this.#openInbox(), this.#findResponders(topic)]);
    // It has been given up meanwhile.
    if (!this.#pending.has(id)) return;
    const headers = {
      ...options.headers,
      [REQUEST_HEADER.REPLY_TO]: inbox.topic,
      [REQUEST_HEADER.CORRELATION_ID]: id,
      [REQUEST_HEADER.EXPIRATION]: String(timeoutMs),
    };
    await this.#producerOf(topic).send({ key: options.key, headers, value });
  }

  /** Rejects with NO_RESPONDERS unless somebody consumes the topic's requests. Requests at one time share one look. */
  #findResponders(topic: string): Promise<void> {
    if (this.#context.clock.now() < (this.#believed.get(topic) ?? Number.NEGATIVE_INFINITY)) return BELIEVED;
    let looking = this.#looking.get(topic);
    if (looking === undefined) {
      looking = this.#lookForResponders(topic).finally(() => this.#looking.delete(topic));
      this.#looking.set(topic, looking);
    }
    return looking;
  }

  async #lookForResponders(topic: string): Promise<void> {
    const { clock, subscriptions } = this.#context;
    let consumers = 0;
    try {
      ({ consumers } = await subscriptions.describe(topic, RESPONDERS));
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "UNKNOWN_SUBSCRIPTION") throw error;
    }
    if (consumers === 0) throw new MillraceError("NO_RESPONDERS", `nobody answers requests on ${topic}`);
    this.#believed.set(topic, clock.now() + BELIEF_MS);
    if (this.#believed.size > PRODUCERS_MAX) this.#believed.delete(firstOf(this.#believed) as string);
  }

  #openInbox(): Promise<Inbox> {
    if (this.#inbox === undefined) {
      const opened = this.#makeInbox();
      this.#inbox = opened;
      // The next request tries again.
      opened.catch(() => {
        if (this.#inbox === opened) this.#inbox = undefined;
      });
    }
    return this.#inbox;
  }

  async #makeInbox(): Promise<Inbox> {
    const { topics, entropy, subscribe } = this.#context;
    const random = entropy.producerId().toString(36) + entropy.producerId().toString(36);
    const topic = `inbox.${random}`;
    await topics.create(topic, { partitions: 1, durability: "memory", retentionMs: INBOX_RETENTION_MS });
    // From the beginning: nothing can have been published yet. A stream, so that no reply is lost with a connection.
    const subscription = subscribe(topic, { from: "earliest", mode: "stream" });
    await subscription.ready();
    void this.#read({ topic, subscription });
    return { topic, subscription };
  }

  async #read({ subscription }: Inbox): Promise<void> {
    let failure: unknown = closedError("client");
    try {
      for await (const record of subscription) this.#onReply(record);
    } catch (error) {
      failure = error;
      // The next request makes another one. Ended without an error it is the client that closes, which deletes it then.
      this.#inbox = undefined;
    }
    // Whoever waits for a reply there waits in vain.
    for (const reply of this.#pending.values()) reply.reject(failure);
  }

  #onReply(record: ReceivedRecord): void {
    const id = record.headers?.[REQUEST_HEADER.CORRELATION_ID];
    const pending = typeof id === "string" ? this.#pending.get(id) : undefined;
    if (pending === undefined) return;
    const failure = record.headers?.[REQUEST_HEADER.ERROR];
    if (failure === undefined) pending.resolve(record);
    else pending.reject(new MillraceError("REQUEST_FAILED", String(failure)));
  }

  #producerOf(topic: string): Producer {
    let producer = this.#producers.get(topic);
    if (producer === undefined) {
      producer = this.#context.producer(topic, { lingerMs: 0 });
      this.#producers.set(topic, producer);
      if (this.#producers.size > PRODUCERS_MAX) {
        const oldest = firstOf(this.#producers) as string;
        void this.#producers.get(oldest)?.close();
        this.#producers.delete(oldest);
      }
    }
    return producer;
  }
}

function firstOf<K>(map: ReadonlyMap<K, unknown>): K | undefined {
  for (const key of map.keys()) return key;
  return undefined;
}
