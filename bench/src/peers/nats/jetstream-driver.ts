/** JetStream as most applications use it: `publish` resolves when its message is stored. */
import type { Driver, DriverSettings, Publisher, PublisherEvents } from "@millrace/load";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";
import { connectStreamConsumer, prepareStream } from "./jetstream-stream.ts";
import { connectNats, NATS_CLIENT, watchConnection } from "./nats-connection.ts";

/** More than a round trip needs: more of them only wait in the server. */
const PUBLISHES_IN_FLIGHT = 1000;
const PUBLISH_TIMEOUT_MS = 60_000;

class JetStreamPublisher implements Publisher {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #subject: string;
  readonly #copies: ValueCopies | undefined;
  readonly #window: InFlightWindow;
  readonly #unwatch: () => void;
  readonly #onStored = (): void => this.#window.acknowledged(1);
  readonly #onFailed = (error: Error): void => this.#window.failed(error);

  constructor(connection: NatsConnection, settings: DriverSettings, events: PublisherEvents) {
    this.#connection = connection;
    this.#client = jetstream(connection, { timeout: PUBLISH_TIMEOUT_MS });
    this.#subject = settings.target;
    this.#copies = settings.stamped ? new ValueCopies() : undefined;
    this.#window = new InFlightWindow(events, PUBLISHES_IN_FLIGHT);
    this.#unwatch = watchConnection(connection, this.#onFailed);
  }

  publish(value: Uint8Array): boolean {
    if (this.#window.full) return false;
    this.#window.taken(1);
    const stored = this.#client.publish(this.#subject, this.#copies?.copy(value) ?? value);
    // One stream, one connection: the server answers in order.
    stored.then(this.#onStored, this.#onFailed);
    return true;
  }

  room(): Promise<void> {
    return this.#window.room();
  }

  /** The client sends by itself at the end of the microtask. */
  push(): void {}

  flush(): Promise<void> {
    return this.#window.empty();
  }

  async close(): Promise<void> {
    this.#unwatch();
    await this.#connection.close();
  }
}

export const driver: Driver = {
  client: NATS_CLIENT,
  prepare: prepareStream,
  connectPublisher: async (settings, events) =>
    new JetStreamPublisher(await connectNats(settings.endpoint), settings, events),
  connectConsumer: connectStreamConsumer,
};
