import {
  decodeAck,
  decodeCredit,
  decodeCreditRevoke,
  decodeError,
  decodeProgress,
  decodeStream,
  decodeSubscribed,
  decodeTopic,
  decodeTopicDeleted,
  decodeTopics,
  decodeTruncated,
  decodeUnsubscribed,
  FRAME_TYPE,
  type FrameReader,
  MillraceError,
  type WelcomeFrame,
} from "@millrace/protocol";
import { BrokerTopics } from "./admin/broker-topics.ts";
import type { Client, ClientEvents, ClientState, ConnectOptions } from "./api/client.ts";
import type { Producer, ProducerOptions } from "./api/producer.ts";
import type { SubscribeOptions, Subscription } from "./api/subscription.ts";
import type { Topics } from "./api/topics.ts";
import type { Connection } from "./connection/connection.ts";
import { Link, type LinkHandlers, type Platform } from "./connection/link.ts";
import { RequestTable } from "./connection/request-table.ts";
import { EventEmitter } from "./event-emitter.ts";
import { Publisher } from "./publish/publisher.ts";
import { TopicProducer } from "./publish/topic-producer.ts";
import { type ConnectSettings, closedError, connectSettings, producerSettings } from "./settings.ts";
import { Subscriber } from "./subscribe/subscriber.ts";
import { TopicSubscription } from "./subscribe/topic-subscription.ts";

/** The client: joins the link with those who use it, and brings each frame to whom it concerns. */
export class BrokerClient implements Client, LinkHandlers {
  readonly url: string;
  readonly topics: Topics;
  readonly #settings: ConnectSettings;
  readonly #platform: Platform;
  readonly #events: EventEmitter<ClientEvents> = new EventEmitter();
  readonly #link: Link;
  readonly #requests: RequestTable;
  readonly #publisher: Publisher;
  readonly #subscriber: Subscriber = new Subscriber();
  readonly #producers: Set<TopicProducer> = new Set();
  #connection: Connection | undefined;
  #closing: Promise<void> | undefined;
  #closed: MillraceError | undefined;

  /** @throws RangeError for an option out of its range */
  constructor(url: string, options: ConnectOptions, platform: Platform) {
    this.url = url;
    this.#settings = connectSettings(url, options);
    this.#platform = platform;
    this.#requests = new RequestTable(platform.clock, this.#settings.requestTimeoutMs);
    this.topics = new BrokerTopics(this.#requests);
    this.#link = new Link(this.#settings, platform, this);
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

  get state(): ClientState {
    return this.#link.state;
  }

  producer(topic: string, options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const producer = new TopicProducer(topic, producerSettings(options), {
      publisher: this.#publisher,
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
    return new TopicSubscription(topic, options, {
      subscriber: this.#subscriber,
      requests: this.#requests,
      topics: this.topics,
      clock: this.#platform.clock,
      entropy: this.#platform.entropy,
      onGap: (gap) => this.#events.emit("gap", gap),
    });
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
    this.#subscriber.onConnected(connection, welcome);
    const { serverName, sessionId } = welcome;
    this.#events.emit("connected", { serverName, sessionId });
  }

  onDraining(): void {
    this.#requests.onDraining();
    this.#publisher.onDraining();
    this.#subscriber.onDraining();
  }

  isQuiet(): boolean {
    return this.#publisher.unanswered === 0 && this.#requests.underWay === 0;
  }

  onDisconnected(error: MillraceError): void {
    this.#connection = undefined;
    this.#publisher.onDisconnected();
    this.#subscriber.onDisconnected();
    this.#requests.onDisconnected(error);
    this.#events.emit("disconnected", error);
  }

  onClosed(error: MillraceError | undefined): void {
    this.#connection = undefined;
    this.#closed = error ?? closedError("client");
    const cause = error === undefined ? undefined : { cause: error };
    const closed = new MillraceError("CLOSED", "the client is closed", cause);
    for (const producer of [...this.#producers]) producer.abort(closed);
    this.#subscriber.abort(error);
    this.#requests.abort(closed);
    this.#events.emit("closed", error);
  }

  onFrame(type: number, reader: FrameReader, bytes: Uint8Array): void {
    switch (type) {
      case FRAME_TYPE.DELIVER:
        this.#subscriber.onDeliver(bytes);
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
        this.#subscriber.onStream(decodeStream(reader));
        break;
      case FRAME_TYPE.PROGRESS:
        this.#subscriber.onProgress(decodeProgress(reader));
        break;
      default:
        this.#onAnswer(type, reader);
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
    }
    this.#link.checkDrained();
  }

  #onError(reader: FrameReader): void {
    const frame = decodeError(reader);
    const error = MillraceError.fromWire(frame);
    const { subscriptionId } = error.details;
    if (frame.requestId !== undefined) {
      // A SUBSCRIBE uses one number for both of its ids.
      if (!this.#requests.onError(frame.requestId, error)) this.#subscriber.onError(frame.requestId, error);
    } else if (typeof subscriptionId === "number") {
      this.#subscriber.onError(subscriptionId, error);
    } else if (!this.#publisher.onError(error)) {
      this.#connection?.setSessionError(error);
    }
    this.#link.checkDrained();
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
    const flushed = Promise.allSettled(Array.from(this.#producers, (producer) => producer.close()));
    await Promise.race([flushed, timeout]);
    clock.clearTimer(timer);
    this.#link.close();
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }
}
