import type { BatchResult, Client, OutgoingRecord, Producer, ProducerOptions } from "@millrace/client";
import type { DriverSettings, Publisher, PublisherEvents } from "./driver.ts";
import { millraceOptions } from "./millrace-options.ts";

/** A batch that is under way. */
interface Batch {
  /** 0: not acknowledged yet. */
  count: number;
}

/** Publishes with `producer.append`, the client's fast path: one promise a batch. */
export class MillracePublisher implements Publisher {
  readonly #client: Client;
  readonly #producer: Producer;
  readonly #events: PublisherEvents;
  readonly #order: BatchOrder | undefined;
  readonly #acknowledged = (result: BatchResult): void => this.#events.acknowledged(result.count);
  /** The batch that took the last record. */
  #last: Promise<BatchResult> | undefined;
  /** Used again for each record: the client copies what it takes before `append` returns. */
  readonly #record: { value: Uint8Array; key: string | undefined } = {
    value: new Uint8Array(0),
    key: undefined,
  };

  private constructor(
    client: Client,
    producer: Producer,
    events: PublisherEvents,
    order: BatchOrder | undefined,
  ) {
    this.#client = client;
    this.#producer = producer;
    this.#events = events;
    this.#order = order;
  }

  /** Resolves once the topic's partitions are known: a record before that would have to wait, uncopied. */
  static async open(client: Client, settings: DriverSettings, events: PublisherEvents): Promise<Publisher> {
    const producer = openProducer(client, settings);
    await producer.ready();
    // The batches of one partition are acknowledged in their order.
    const order = settings.partitions > 1 ? new BatchOrder(events) : undefined;
    return new MillracePublisher(client, producer, events, order);
  }

  publish(value: Uint8Array, key?: string): boolean {
    if (!this.#producer.hasRoom) return false;
    this.#record.value = value;
    this.#record.key = key;
    const batch = this.#producer.append(this.#record as OutgoingRecord);
    if (batch !== this.#last) {
      this.#last = batch;
      if (this.#order !== undefined) this.#order.begin(batch);
      else batch.then(this.#acknowledged, this.#events.failed);
    }
    return true;
  }

  room(): Promise<void> {
    return this.#producer.room();
  }

  push(): void {
    // The client sends what it has gathered when `lingerMs` is over; 0 means at the end of this turn.
  }

  flush(): Promise<void> {
    return this.#producer.flush();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

/**
 * Puts the acknowledgements of several partitions into the order in which their batches were begun. With keys the records go to
 * several open batches in turn, so within the time of a batch a latency may be another record's.
 */
class BatchOrder {
  readonly #events: PublisherEvents;
  /** Those that are not settled, to recognize one that takes a record again. */
  readonly #known: Set<Promise<BatchResult>> = new Set();
  readonly #underWay: Batch[] = [];
  #head = 0;

  constructor(events: PublisherEvents) {
    this.#events = events;
  }

  begin(promise: Promise<BatchResult>): void {
    if (this.#known.has(promise)) return;
    this.#known.add(promise);
    const batch: Batch = { count: 0 };
    this.#underWay.push(batch);
    promise.then((result) => {
      this.#known.delete(promise);
      batch.count = result.count;
      this.#acknowledge();
    }, this.#events.failed);
  }

  /** Tells of the oldest batches, as far as they are acknowledged without a gap. */
  #acknowledge(): void {
    let count = 0;
    for (;;) {
      const batch = this.#underWay[this.#head];
      if (batch === undefined || batch.count === 0) break;
      count += batch.count;
      this.#head += 1;
    }
    if (this.#head > 1024 || this.#head === this.#underWay.length) {
      this.#underWay.splice(0, this.#head);
      this.#head = 0;
    }
    if (count > 0) this.#events.acknowledged(count);
  }
}

function openProducer(client: Client, settings: DriverSettings): Producer {
  const { target, batchBytes, lingerMs } = settings;
  const options: ProducerOptions = { ...millraceOptions(settings).producer, lingerMs };
  return client.producer(target, { ...options, batchBytes });
}
