import type { DriverSettings, Publisher, PublisherEvents } from "@millrace/load";
import type { MessageToProduce, Producer } from "@platformatic/kafka";

type Message = MessageToProduce<Buffer, Buffer, Buffer, Buffer>;
type KafkaProducer = Producer<Buffer, Buffer, Buffer, Buffer>;

/** What a record takes in a batch beside its value: lengths, deltas and attributes. */
const RECORD_OVERHEAD_BYTES = 12;
/** Batches that are complete and wait for one of the requests under way; more and there is no room. */
const WAITING_BATCHES_MAX = 2;
const COALESCED_BATCH_BYTES_MAX = 16 * 1024;

interface Request {
  readonly count: number;
  answered: boolean;
}

/**
 * Batches as the Java client does, which this client leaves to the application: a batch goes out when it is full, or when
 * its first record has waited for the linger time. With a linger time of 0 it goes out at the end of a burst unless all
 * requests are under way, and then what has gathered when the next one is answered. Without batching each record is a request
 * of its own; the option `coalesce` turns that into a linger time of 0 with batches of 16 KiB, the Java client's old default.
 */
export function connectKafkaPublisher(
  producer: KafkaProducer,
  settings: DriverSettings,
  requestsMax: number,
  events: PublisherEvents,
): Publisher {
  const batcher = new Batcher(producer, settings, requestsMax, events);
  return {
    publish: (value, key) => batcher.publish(value, key),
    room: () => batcher.room(),
    push: () => batcher.push(),
    flush: () => batcher.flush(),
    close: async () => {
      batcher.close();
      await producer.close(true);
    },
  };
}

class Batcher {
  readonly #producer: KafkaProducer;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #stamped: boolean;
  readonly #lingerMs: number;
  readonly #batchBytesMax: number;
  readonly #eager: boolean;
  readonly #requestsMax: number;
  readonly #events: PublisherEvents;
  readonly #keys: Map<string, Buffer> = new Map();
  readonly #requests: Request[] = [];
  /** Complete batches, oldest first. */
  readonly #waiting: Message[][] = [];
  #batch: Message[] = [];
  #batchBytes = 0;
  #partition = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastValue: Uint8Array | undefined;
  #lastBuffer: Buffer = Buffer.alloc(0);
  #underWay = 0;
  #onRoom: (() => void) | undefined;
  #onIdle: (() => void) | undefined;

  constructor(
    producer: KafkaProducer,
    settings: DriverSettings,
    requestsMax: number,
    events: PublisherEvents,
  ) {
    this.#producer = producer;
    this.#topic = settings.target;
    this.#partitions = settings.partitions;
    this.#stamped = settings.stamped;
    this.#lingerMs = settings.lingerMs;
    const coalesce = settings.batchBytes === 0 && settings.options.coalesce === true;
    this.#batchBytesMax = coalesce ? COALESCED_BATCH_BYTES_MAX : settings.batchBytes;
    this.#eager = coalesce || (settings.batchBytes > 0 && settings.lingerMs === 0);
    this.#requestsMax = requestsMax;
    this.#events = events;
  }

  publish(value: Uint8Array, key?: string): boolean {
    if (this.#waiting.length >= WAITING_BATCHES_MAX) return false;
    const message: Message = { topic: this.#topic, value: this.#bufferOf(value) };
    if (key !== undefined) message.key = this.#keyOf(key);
    // Without a key the whole batch goes to one partition, the next batch to the next one.
    else message.partition = this.#partition;
    this.#batch.push(message);
    this.#batchBytes += value.byteLength + RECORD_OVERHEAD_BYTES;
    if (this.#batchBytes >= this.#batchBytesMax) this.#complete();
    else if (this.#batch.length === 1 && !this.#eager) this.#linger();
    return true;
  }

  push(): void {
    if (this.#eager && this.#underWay < this.#requestsMax) this.#complete();
  }

  room(): Promise<void> {
    if (this.#waiting.length < WAITING_BATCHES_MAX) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  flush(): Promise<void> {
    if (this.#batch.length > 0) this.#complete();
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #linger(): void {
    this.#timer = setTimeout(() => this.#complete(), this.#lingerMs);
  }

  #complete(): void {
    clearTimeout(this.#timer);
    if (this.#batch.length === 0) return;
    this.#waiting.push(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
    this.#partition = (this.#partition + 1) % this.#partitions;
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    while (this.#underWay < this.#requestsMax) {
      const messages = this.#waiting.shift();
      if (messages === undefined) return;
      this.#send(messages);
    }
  }

  #send(messages: Message[]): void {
    const request: Request = { count: messages.length, answered: false };
    this.#requests.push(request);
    this.#underWay++;
    this.#producer.send({ messages, acks: -1 }, (error) => {
      if (error !== null) {
        this.#events.failed(error);
        return;
      }
      this.#underWay--;
      request.answered = true;
      this.#acknowledge();
    });
  }

  /** In the order of publishing, also where answers of different partitions overtake each other. */
  #acknowledge(): void {
    let count = 0;
    while (this.#requests[0]?.answered === true) count += (this.#requests.shift() as Request).count;
    if (count > 0) this.#events.acknowledged(count);
    this.#sendWaiting();
    this.push();
    if (this.#waiting.length < WAITING_BATCHES_MAX) {
      this.#onRoom?.();
      this.#onRoom = undefined;
    }
    if (this.#underWay === 0) {
      this.#onIdle?.();
      this.#onIdle = undefined;
    }
  }

  /** The client keeps a reference to the value until it has encoded the batch. */
  #bufferOf(value: Uint8Array): Buffer {
    if (this.#stamped) return Buffer.from(value);
    if (value !== this.#lastValue) {
      this.#lastValue = value;
      this.#lastBuffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    return this.#lastBuffer;
  }

  #keyOf(key: string): Buffer {
    let bytes = this.#keys.get(key);
    if (bytes === undefined) {
      bytes = Buffer.from(key);
      this.#keys.set(key, bytes);
    }
    return bytes;
  }
}
