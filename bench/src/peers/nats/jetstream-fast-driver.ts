/**
 * JetStream's fastest way to publish, fast ingest: the server stores each message as it comes and acknowledges
 * hundreds with one answer. nats-server 2.14 or later; the client has it behind its internal door.
 */
import type { Driver, DriverSettings, Publisher, PublisherEvents } from "@millrace/load";
import type { FastIngest, FastIngestProgress } from "@nats-io/jetstream/internal";
import jetstreamInternals from "@nats-io/jetstream/internal";
import type { NatsConnection } from "@nats-io/nats-core";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";
import { connectStreamConsumer, prepareStream } from "./jetstream-stream.ts";
import { connectNats, NATS_CLIENT, watchConnection } from "./nats-connection.ts";

/** Messages an ack, and acks outstanding: among the fastest of 100 to 2,000 x 1 to 3 in single trials, as in `nats bench js pub fast`. */
const ACK_INTERVAL = 500;
const OUTSTANDING_ACKS_MAX = 2;
/**
 * Nothing published for so long: the batch is ended, since only its end acknowledges what is left below a multiple of the
 * interval. The next message begins another one.
 */
const IDLE_MS = 5;
const TIMEOUT_MS = 60_000;

class FastIngestPublisher implements Publisher {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #copies: ValueCopies | undefined;
  readonly #window: InFlightWindow;
  readonly #unwatch: () => void;
  #ingest: FastIngest | undefined;
  /** While a batch begins or ends nothing can be published. */
  #changing: Promise<void> | undefined;
  /** Of the batch under way, as the server numbers it, from 1. */
  #published = 0;
  #acknowledged = 0;
  #publishedAtTimer = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: NatsConnection, settings: DriverSettings, events: PublisherEvents) {
    this.#connection = connection;
    this.#subject = settings.target;
    this.#copies = settings.stamped ? new ValueCopies() : undefined;
    this.#window = new InFlightWindow(events, ACK_INTERVAL * OUTSTANDING_ACKS_MAX);
    this.#unwatch = watchConnection(connection, this.#onFailed);
  }

  publish(value: Uint8Array): boolean {
    if (this.#window.full || this.#changing !== undefined) return false;
    const own = this.#copies?.copy(value) ?? value;
    this.#window.taken(1);
    this.#published++;
    if (this.#ingest === undefined) this.#changing = this.#begin(own);
    else this.#ingest.add(this.#subject, own).then(this.#onProgress, this.#onFailed);
    return true;
  }

  async room(): Promise<void> {
    await this.#changing;
    await this.#window.room();
  }

  push(): void {
    if (this.#timer !== undefined || this.#window.inFlight === 0) return;
    this.#publishedAtTimer = this.#published;
    this.#timer = setTimeout(this.#onTimer, IDLE_MS);
  }

  async flush(): Promise<void> {
    await this.#changing;
    await this.#end();
    await this.#window.empty();
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
    this.#unwatch();
    await this.#connection.close();
  }

  async #begin(first: Uint8Array): Promise<void> {
    const options = { ackInterval: ACK_INTERVAL, allowGaps: false, maxOutstandingAcks: OUTSTANDING_ACKS_MAX };
    try {
      this.#ingest = await jetstreamInternals.startFastIngest(
        this.#connection,
        this.#subject,
        first,
        options,
        TIMEOUT_MS,
      );
    } catch (error) {
      this.#onFailed(error as Error);
    }
    this.#changing = undefined;
    this.push();
  }

  #end(): Promise<void> {
    const ingest = this.#ingest;
    if (ingest === undefined) return Promise.resolve();
    this.#ingest = undefined;
    this.#changing = ingest.end({ timeout: TIMEOUT_MS }).then(({ count }) => {
      if (count !== this.#published) {
        this.#onFailed(new Error(`messages are missing: published=${this.#published} stored=${count}`));
      }
      this.#changing = undefined;
      this.#published = 0;
      this.#acknowledged = 0;
      this.#window.acknowledged(this.#window.inFlight);
    }, this.#onFailed);
    return this.#changing;
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#changing === undefined && this.#published === this.#publishedAtTimer) void this.#end();
    else this.push();
  };

  readonly #onProgress = ({ ackSeq }: FastIngestProgress): void => {
    // The end of the batch has acknowledged what its last messages wait for.
    if (this.#ingest === undefined || ackSeq <= this.#acknowledged) return;
    const fresh = ackSeq - this.#acknowledged;
    this.#acknowledged = ackSeq;
    this.#window.acknowledged(fresh);
  };

  readonly #onFailed = (error: Error): void => this.#window.failed(error);
}

export const driver: Driver = {
  client: `${NATS_CLIENT}, fast ingest`,
  prepare: prepareStream,
  connectPublisher: async (settings, events) =>
    new FastIngestPublisher(await connectNats(settings.endpoint), settings, events),
  connectConsumer: connectStreamConsumer,
};
