/**
 * NATS core: subjects without a log. Nothing is acknowledged; what is counted as acknowledged is what was published before a
 * PING that the server has answered, so it has been read by the server and routed to its subscribers.
 */
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
  Requester,
  Responder,
} from "@millrace/load";
import type { NatsConnection } from "@nats-io/nats-core";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";
import { connectNats, NATS_CLIENT, watchConnection } from "./nats-connection.ts";

/** A PING is sent after so many bytes of values at the latest, and two are under way at most. */
const BYTES_BETWEEN_PINGS = 128 * 1024;
const RECORDS_BETWEEN_PINGS_MAX = 1000;
const PINGS_IN_FLIGHT = 2;
/** At a low rate: how long a record waits for the PING behind it. Only the publisher's own ack latency shows it. */
const PING_DELAY_MS = 5;
const REQUEST_TIMEOUT_MS = 30_000;

class NatsCorePublisher implements Publisher {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #copies: ValueCopies | undefined;
  readonly #window: InFlightWindow;
  readonly #recordsBetweenPings: number;
  readonly #unwatch: () => void;
  #unpinged = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: NatsConnection, settings: DriverSettings, events: PublisherEvents) {
    const { target, valueBytes, stamped } = settings;
    this.#connection = connection;
    this.#subject = target;
    this.#copies = stamped ? new ValueCopies() : undefined;
    const fitting = Math.ceil(BYTES_BETWEEN_PINGS / valueBytes);
    this.#recordsBetweenPings = Math.min(RECORDS_BETWEEN_PINGS_MAX, fitting);
    this.#window = new InFlightWindow(events, this.#recordsBetweenPings * PINGS_IN_FLIGHT);
    this.#unwatch = watchConnection(connection, (error) => this.#window.failed(error));
  }

  publish(value: Uint8Array): boolean {
    if (this.#window.full) return false;
    this.#connection.publish(this.#subject, this.#copies?.copy(value) ?? value);
    this.#window.taken(1);
    if (++this.#unpinged >= this.#recordsBetweenPings) this.#ping();
    return true;
  }

  room(): Promise<void> {
    return this.#window.room();
  }

  push(): void {
    if (this.#unpinged > 0) this.#timer ??= setTimeout(this.#ping, PING_DELAY_MS);
  }

  async flush(): Promise<void> {
    if (this.#unpinged > 0) this.#ping();
    await this.#window.empty();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#unwatch();
    await this.#connection.close();
  }

  readonly #ping = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const count = this.#unpinged;
    if (count === 0) return;
    this.#unpinged = 0;
    this.#connection.flush().then(
      () => {
        this.#window.acknowledged(count);
      },
      (error: Error) => this.#window.failed(error),
    );
  };
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const connection = await connectNats(settings.endpoint);
  const unwatch = watchConnection(connection, events.failed);
  connection.subscribe(settings.target, {
    callback: (error, message) => {
      if (error) events.failed(error);
      else events.received(1, () => message.data);
    },
  });
  await connection.flush();
  return {
    close: async () => {
      unwatch();
      await connection.close();
    },
  };
}

async function connectRequester({ endpoint, target }: DriverSettings): Promise<Requester> {
  const connection = await connectNats(endpoint);
  return {
    request: async (value) => {
      await connection.request(target, value, { timeout: REQUEST_TIMEOUT_MS });
    },
    close: () => connection.close(),
  };
}

async function connectResponder({ endpoint, target }: DriverSettings): Promise<Responder> {
  const connection = await connectNats(endpoint);
  // One queue group: with several responders each request is answered once.
  connection.subscribe(target, {
    queue: "responders",
    callback: (_error, message) => void message.respond(message.data),
  });
  await connection.flush();
  return { close: () => connection.close() };
}

export const driver: Driver = {
  client: NATS_CLIENT,
  prepare: () => Promise.resolve(),
  connectPublisher: async (settings, events) =>
    new NatsCorePublisher(await connectNats(settings.endpoint), settings, events),
  connectConsumer,
  connectRequester,
  connectResponder,
};
