import {
  decodeAck,
  decodeCredit,
  decodeCreditRevoke,
  decodeError,
  decodePeeked,
  decodeProgress,
  decodeRedriven,
  decodeStream,
  decodeSubscribed,
  decodeSubscription,
  decodeSubscriptionDeleted,
  decodeSubscriptions,
  decodeTopic,
  decodeTopicDeleted,
  decodeTopics,
  decodeTopicsChanged,
  decodeTruncated,
  decodeUnsubscribed,
  FRAME_TYPE,
  type FrameReader,
  MillraceError,
  type ProgressFrame,
  type StreamFrame,
  type WelcomeFrame,
} from "@millrace/protocol";
import { BrokerDeadLetters } from "./admin/broker-dead-letters.ts";
import { BrokerSubscriptions } from "./admin/broker-subscriptions.ts";
import { BrokerTopics } from "./admin/broker-topics.ts";
import { OffsetReading } from "./admin/offset-reading.ts";
import { Peeking } from "./admin/peeking.ts";
import type { Client, ClientEvents, ClientState, ConnectOptions } from "./api/client.ts";
import type { ConsumeOptions, HandlerOptions, MessageHandler, PullConsumer } from "./api/consumer.ts";
import type { DeadLetters } from "./api/dead-letters.ts";
import type { Producer, ProducerOptions } from "./api/producer.ts";
import type { AskOptions, Reply, RequestHandler, Responder, RespondOptions } from "./api/request-reply.ts";
import type { SubscribeOptions, Subscription } from "./api/subscription.ts";
import type { Subscriptions } from "./api/subscriptions.ts";
import type { Topics } from "./api/topics.ts";
import type { Connection } from "./connection/connection.ts";
import { Link, type LinkHandlers, type Platform } from "./connection/link.ts";
import { RequestTable } from "./connection/request-table.ts";
import { ServerClock } from "./connection/server-clock.ts";
import { Consumers } from "./consume/consumers.ts";
import { TopicConsumer } from "./consume/topic-consumer.ts";
import { clusterIdOf, DirectLinks } from "./direct/direct-links.ts";
import { EventEmitter } from "./event-emitter.ts";
import { Publisher } from "./publish/publisher.ts";
import { TopicProducer } from "./publish/topic-producer.ts";
import { Requester } from "./request/requester.ts";
import { Responders } from "./request/responders.ts";
import { type ConnectSettings, closedError, connectSettings, producerSettings } from "./settings.ts";
import { isPattern, PatternSubscription } from "./subscribe/pattern-subscription.ts";
import type { RecordReader } from "./subscribe/record-reader.ts";
import { Subscriber } from "./subscribe/subscriber.ts";
import { type SubscriptionContext, TopicSubscription } from "./subscribe/topic-subscription.ts";
import { TopicWatches, type WatchContext } from "./subscribe/topic-watch.ts";

/** The client: joins the link with those who use it, and brings each frame to whom it concerns. */
export class BrokerClient implements Client, LinkHandlers {
  readonly url: string;
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly deadLetters: DeadLetters;
  readonly #settings: ConnectSettings;
  readonly #platform: Platform;
  readonly #events: EventEmitter<ClientEvents> = new EventEmitter();
  readonly #link: Link;
  readonly #requests: RequestTable;
  readonly #publisher: Publisher;
  readonly #direct: DirectLinks | undefined;
  readonly #subscriber: Subscriber = new Subscriber();
  readonly #producers: Set<TopicProducer> = new Set();
  readonly #serverClock: ServerClock;
  readonly #router: Consumers = new Consumers();
  readonly #watches: TopicWatches = new TopicWatches();
  readonly #consumers: Set<TopicConsumer> = new Set();
  readonly #reading: SubscriptionContext & WatchContext;
  readonly #requester: Requester;
  readonly #responders: Responders;
  #connection: Connection | undefined;
  #serverName: string | undefined;
  #clusterId: string | undefined;
  #closing: Promise<void> | undefined;
  #closed: MillraceError | undefined;

  /** @throws RangeError for an option out of its range */
  constructor(url: string, options: ConnectOptions, platform: Platform) {
    this.url = url;
    this.#settings = connectSettings(url, options);
    this.#platform = platform;
    this.#requests = new RequestTable(platform.clock, this.#settings.requestTimeoutMs);
    this.#requests.keep((id) => this.#subscriber.has(id) || this.#watches.has(id));
    this.#serverClock = new ServerClock(platform.clock);
    this.topics = new BrokerTopics(this.#requests);
    this.#reading = {
      subscriber: this.#subscriber,
      watches: this.#watches,
      requests: this.#requests,
      topics: this.topics,
      clock: platform.clock,
      entropy: platform.entropy,
      serverClock: this.#serverClock,
      onGap: (gap) => this.#events.emit("gap", gap),
    };
    const reading = new OffsetReading((topic, options) => this.subscribe(topic, options));
    const peeking = new Peeking(this.#requests, this.topics, reading);
    this.subscriptions = new BrokerSubscriptions(this.#requests, peeking);
    this.deadLetters = new BrokerDeadLetters(this.#requests, this.topics, this.subscriptions, peeking);
    this.#requester = new Requester({
      topics: this.topics,
      subscriptions: this.subscriptions,
      clock: platform.clock,
      entropy: platform.entropy,
      producer: (topic, options) => this.producer(topic, options),
      subscribe: (topic, options) => this.subscribe(topic, options),
    });
    this.#responders = new Responders({
      serverClock: this.#serverClock,
      producer: (topic, options) => this.producer(topic, options),
      consume: (topic, options, handler, more) => this.consume(topic, options, handler, more),
    });
    this.#link = new Link(this.#settings, platform, this);
    this.#direct = this.#settings.direct
      ? new DirectLinks(this.#settings, platform, () => this.#clusterId)
      : undefined;
    this.#publisher = new Publisher(
      () => this.#link.checkDrained(),
      () =>
        this.#link.drop(
          new MillraceError("CONNECTION_LOST", "a shard was restarted: the session begins anew"),
        ),
    );
  }

  /** Makes the first connection. */
  open(): Promise<void> {
    return this.#link.open();
  }

  get serverName(): string | undefined {
    return this.#serverName;
  }

  get state(): ClientState {
    return this.#link.state;
  }

  producer(topic: string, options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const producer = new TopicProducer(topic, producerSettings(options), {
      publisher: this.#publisher,
      direct: this.#direct,
      topics: this.topics,
      clock: this.#platform.clock,
      entropy: this.#platform.entropy,
      onClosed: (closed) => this.#producers.delete(closed),
    });
    this.#producers.add(producer);
    return producer;
  }

  subscribe(topic: string, options: SubscribeOptions = {}): Subscription {
    this.#checkOpen();
    return this.#read(topic, options);
  }

  consume(
    topic: string,
    options: ConsumeOptions,
    handler?: MessageHandler,
    more: HandlerOptions = {},
  ): PullConsumer {
    this.#checkOpen();
    const consumer = new TopicConsumer(topic, options, handler, more, {
      consumers: this.#router,
      watches: this.#watches,
      requests: this.#requests,
      subscriptions: this.subscriptions,
      clock: this.#platform.clock,
      entropy: this.#platform.entropy,
      read: (name, reading, onWake) => this.#read(name, reading, onWake),
      onGap: this.#reading.onGap,
      onClosed: (closed) => this.#consumers.delete(closed),
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  async request(topic: string, value: unknown, options: AskOptions = {}): Promise<Reply> {
    this.#checkOpen();
    return this.#requester.request(topic, value, options);
  }

  respond(topic: string, handler: RequestHandler, options: RespondOptions = {}): Responder {
    return this.#responders.respond(topic, handler, options);
  }

  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // From the link.

  onState(state: ClientState): void {
    this.#events.emit("state", state);
  }

  onConnected(connection: Connection, welcome: WelcomeFrame): void {
    this.#connection = connection;
    this.#requests.onConnected(connection);
    this.#publisher.onConnected(connection, welcome);
    this.#serverClock.onConnected(welcome.serverTimeMs);
    this.#subscriber.onConnected(connection, welcome);
    this.#router.onConnected(connection, welcome);
    this.#watches.onConnected(connection);
    const { serverName, sessionId } = welcome;
    this.#serverName = serverName;
    this.#clusterId = clusterIdOf(welcome);
    this.#events.emit("connected", { serverName, sessionId });
  }

  onDraining(): void {
    this.#requests.onDraining();
    this.#publisher.onDraining();
    this.#subscriber.onDraining();
    this.#watches.onDraining();
    this.#router.onDraining();
  }

  isQuiet(): boolean {
    return this.#publisher.unanswered === 0 && this.#requests.underWay === 0 && this.#router.isQuiet;
  }

  onDisconnected(error: MillraceError): void {
    this.#connection = undefined;
    this.#publisher.onDisconnected();
    this.#subscriber.onDisconnected();
    this.#router.onDisconnected(error);
    this.#watches.onDisconnected();
    this.#requests.onDisconnected(error);
    this.#events.emit("disconnected", error);
  }

  onClosed(error: MillraceError | undefined): void {
    this.#connection = undefined;
    this.#closed = error ?? closedError("client");
    const cause = error === undefined ? undefined : { cause: error };
    const closed = new MillraceError("CLOSED", "the client is closed", cause);
    for (const producer of [...this.#producers]) producer.abort(closed);
    this.#direct?.close();
    this.#subscriber.abort(error);
    for (const consumer of [...this.#consumers]) consumer.end(closed);
    this.#requests.abort(closed);
    this.#events.emit("closed", error);
  }

  onFrame(type: number, reader: FrameReader, bytes: Uint8Array): void {
    switch (type) {
      case FRAME_TYPE.DELIVER:
        this.#subscriber.onDeliver(bytes);
        this.#router.onDeliver(bytes);
        break;
      case FRAME_TYPE.ACK:
        this.#publisher.onAck(decodeAck(reader));
        break;
      case FRAME_TYPE.CREDIT:
        this.#publisher.onCredit(decodeCredit(reader).publishCreditLimit);
        break;
      case FRAME_TYPE.CREDIT_REVOKE:
        this.#publisher.onCreditRevoke(decodeCreditRevoke(reader).publishCreditLimit);
        break;
      case FRAME_TYPE.ERROR:
        this.#onError(reader);
        break;
      case FRAME_TYPE.SUBSCRIBED:
        this.#subscriber.onSubscribed(decodeSubscribed(reader));
        break;
      case FRAME_TYPE.STREAM:
        this.#onStream(decodeStream(reader));
        break;
      case FRAME_TYPE.PROGRESS:
        this.#onProgress(decodeProgress(reader));
        break;
      case FRAME_TYPE.TOPICS_CHANGED:
        this.#watches.onChanged(decodeTopicsChanged(reader));
        break;
      default:
        if (this.#router.onFrame(type, reader)) this.#link.checkDrained();
        else this.#onAnswer(type, reader);
    }
  }

  /** Answers to requests. Types that this release does not know are ignored: a newer broker may send them. */
  #onAnswer(type: number, reader: FrameReader): void {
    if (type === FRAME_TYPE.TOPIC) {
      const { requestId, topic } = decodeTopic(reader);
      this.#requests.onAnswer(requestId, topic);
    } else if (type === FRAME_TYPE.TOPICS) {
      const page = decodeTopics(reader);
      this.#requests.onAnswer(page.requestId, page);
    } else if (type === FRAME_TYPE.TRUNCATED) {
      const frame = decodeTruncated(reader);
      this.#requests.onAnswer(frame.requestId, frame.partitions);
    } else if (type === FRAME_TYPE.TOPIC_DELETED) {
      this.#requests.onAnswer(decodeTopicDeleted(reader).requestId, undefined);
    } else if (type === FRAME_TYPE.UNSUBSCRIBED) {
      this.#requests.onAnswer(decodeUnsubscribed(reader).requestId, undefined);
    } else if (type === FRAME_TYPE.SUBSCRIPTION) {
      const { requestId, subscription } = decodeSubscription(reader);
      this.#requests.onAnswer(requestId, subscription);
    } else if (type === FRAME_TYPE.SUBSCRIPTIONS) {
      const { requestId, subscriptions } = decodeSubscriptions(reader);
      this.#requests.onAnswer(requestId, subscriptions);
    } else if (type === FRAME_TYPE.SUBSCRIPTION_DELETED) {
      this.#requests.onAnswer(decodeSubscriptionDeleted(reader).requestId, undefined);
    } else if (type === FRAME_TYPE.PEEKED) {
      const { requestId, records } = decodePeeked(reader);
      this.#requests.onAnswer(requestId, records);
    } else if (type === FRAME_TYPE.REDRIVEN) {
      const { requestId, count } = decodeRedriven(reader);
      this.#requests.onAnswer(requestId, count);
    }
    this.#link.checkDrained();
  }

  #onError(reader: FrameReader): void {
    const frame = decodeError(reader);
    const error = MillraceError.fromWire(frame);
    const { subscriptionId, consumerId } = error.details;
    if (frame.requestId !== undefined) {
      this.#onRefused(frame.requestId, error);
    } else if (typeof consumerId === "number") {
      this.#router.onError(consumerId, error);
    } else if (typeof subscriptionId === "number") {
      this.#subscriber.onError(subscriptionId, error);
    } else if (!this.#publisher.onError(error)) {
      this.#connection?.setSessionError(error);
    }
    this.#link.checkDrained();
  }

  #onRefused(requestId: number, error: MillraceError): void {
    if (this.#requests.onError(requestId, error)) return;
    if (this.#router.onRefused(requestId, error) || this.#watches.onRefused(requestId, error)) return;
    // A SUBSCRIBE uses one number for both of its ids.
    this.#subscriber.onError(requestId, error);
  }

  #onStream(frame: StreamFrame): void {
    this.#subscriber.onStream(frame);
    this.#router.onStream(frame);
  }

  #onProgress(frame: ProgressFrame): void {
    this.#subscriber.onProgress(frame);
    this.#router.onProgress(frame);
  }

  #read(topic: string, options: SubscribeOptions, onWake?: () => void): RecordReader {
    const context = onWake === undefined ? this.#reading : { ...this.#reading, onWake };
    return isPattern(topic)
      ? new PatternSubscription(topic, options, context)
      : new TopicSubscription(topic, options, context);
  }

  async #close(): Promise<void> {
    const { clock } = this.#platform;
    const { closeTimeoutMs } = this.#settings;
    this.#closed ??= closedError("client");
    this.#subscriber.abort(undefined);
    let timer: unknown;
    const timeout = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, closeTimeoutMs);
    });
    const flushed = this.#finishWork(closeTimeoutMs);
    await Promise.race([flushed, timeout]);
    clock.clearTimer(timer);
    this.#link.close();
  }

  /** Consumers first: what is in hand may still publish. */
  async #finishWork(timeoutMs: number): Promise<void> {
    const options = { timeoutMs };
    await Promise.all(Array.from(this.#consumers, (consumer) => consumer.close(options)));
    await this.#requester.close(timeoutMs);
    await Promise.allSettled(Array.from(this.#producers, (producer) => producer.close()));
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }
}
