/** How durable a record is when the broker acknowledges it: in memory, in the page cache, or synced to disk. */
export type Durability = "memory" | "written" | "fsynced";

/**
 * How records are consumed. `live`: what is published from now on, for everybody. `stream`: from a position of the log on.
 * `queue`: each record goes to one of all consumers and is acked. `keyed`: the same, records of one key in order.
 */
export type ConsumeMode = "live" | "stream" | "queue" | "keyed";

/** What a connection is made with. Travels to the generators as JSON. */
export interface DriverSettings {
  /** Where the broker is: `{ url }`, or `{ host, port }`, or what else its driver asks for. */
  readonly endpoint: Readonly<Record<string, string | number>>;
  /** The topic, subject, queue or stream. */
  readonly target: string;
  readonly partitions: number;
  readonly durability: Durability;
  readonly valueBytes: number;
  /** The client's batch size. 0 = one record a frame: no batching by the client. */
  readonly batchBytes: number;
  /** How long the client waits for a batch to fill. */
  readonly lingerMs: number;
  /**
   * True: each value carries its time, and its buffer is written anew after `publish` returns, so a driver whose library
   * keeps a reference must copy. False: the buffer never changes.
   */
  readonly stamped: boolean;
  /** For consumers. */
  readonly mode: ConsumeMode;
  /** For consumers. */
  readonly from: "earliest" | "latest";
  /** For consumers: the name of the subscription, consumer group or durable consumer. */
  readonly subscription: string;
  /** For consumers of `queue` and `keyed`: messages that one connection may have in hand. */
  readonly slots: number;
  /** The driver's own. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What a publisher tells the generator. Must not be called from within `publish`. */
export interface PublisherEvents {
  /**
   * So many more records are acknowledged, in the order of `publish`. Where the protocol acknowledges nothing (NATS core,
   * MQTT QoS 0) it is those behind the last PING or flush that was answered; the row's notes say so.
   */
  acknowledged(count: number): void;
  /** A record was refused, or the connection is lost: the repetition ends. */
  failed(error: Error): void;
}

/** One connection that publishes. */
export interface Publisher {
  /** Takes one record. False: there is no room, nothing was taken, await `room()` first. */
  publish(value: Uint8Array, key?: string): boolean;
  /** Resolves once `publish` may take a record again. */
  room(): Promise<void>;
  /** The end of a burst: sends what is corked, where the client does not do so by itself. */
  push(): void;
  /** Resolves once everything taken so far is acknowledged. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** What a consumer tells the generator. */
export interface ConsumerEvents {
  /** So many records have come. `valueAt` is called only before this returns, in ascending order. */
  received(count: number, valueAt: (index: number) => Uint8Array): void;
  /**
   * `queue` and `keyed`: acks of so many records are confirmed by the broker, or, where the protocol confirms none, sent; the
   * row's notes say which.
   */
  settled(count: number): void;
  failed(error: Error): void;
}

/** One connection that consumes. In `queue` and `keyed` mode the driver acks each record itself, after `received`. */
export interface Consumer {
  close(): Promise<void>;
}

/** One connection that asks. */
export interface Requester {
  /** Resolves with the reply; `value` may be written anew once it has. */
  request(value: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** One connection that answers each request with its own value. */
export interface Responder {
  close(): Promise<void>;
}

/**
 * What a broker must offer to be loaded: each with its best public client. A driver's module has `export const driver: Driver`;
 * generators import it by its URL, each in a process or thread of its own.
 */
export interface Driver {
  /** The client library, its version and its language, such as "nats.js 3.4.0 (Node)". */
  readonly client: string;
  /** Makes the topic, queue, stream or subscription. Called by each generator, some at the same time: one that is there is fine. */
  prepare(settings: DriverSettings): Promise<void>;
  connectPublisher(settings: DriverSettings, events: PublisherEvents): Promise<Publisher>;
  /** Resolves when the consumer will miss nothing that is published from then on. */
  connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer>;
  connectRequester?(settings: DriverSettings): Promise<Requester>;
  connectResponder?(settings: DriverSettings): Promise<Responder>;
}
