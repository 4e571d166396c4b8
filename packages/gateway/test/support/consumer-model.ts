import type { Frame } from "@millrace/protocol";
import type { FakePartition } from "./fake-partition.ts";
import type { InMemoryClient } from "./in-memory.ts";

interface ModelStream {
  readonly subscriptionId: number;
  readonly partition: number;
  /** Where it was told to go on; the batch that comes then may begin below. */
  startOffset: number;
  next: number;
}

/** What a client knows of one subscription of its session. */
export class ModelSubscription {
  readonly id: number;
  readonly log: (partition: number) => FakePartition;
  creditLimit: number;
  creditUsed = 0;
  confirmed = false;
  ended = false;
  readonly streams: Map<number, ModelStream> = new Map();

  constructor(id: number, log: (partition: number) => FakePartition, creditLimit: number) {
    this.id = id;
    this.log = log;
    this.creditLimit = creditLimit;
  }
}

/**
 * A client that checks all it gets: the streams that a frame names are its own, records follow each other without gap
 * or repeat and are those of the log, and no more comes than credit allows.
 */
export class ConsumerModel {
  readonly client: InMemoryClient;
  readonly subscriptions: Map<number, ModelSubscription> = new Map();
  readonly errors: string[] = [];
  delivered = 0;
  moves = 0;
  readonly #byStreamId: Map<number, ModelStream> = new Map();

  constructor(client: InMemoryClient) {
    this.client = client;
    client.socket.onFrame = (frame, length) => this.#onFrame(frame, length);
  }

  get isClosed(): boolean {
    return this.client.socket.closed !== undefined;
  }

  /** Offsets that are still missing of the subscription, in all its partitions. */
  missing(subscription: ModelSubscription): number {
    let missing = 0;
    for (const [partition, { next }] of subscription.streams) {
      missing += subscription.log(partition).highWatermark - next;
    }
    return missing;
  }

  #onFrame(frame: Frame, length: number): void {
    switch (frame.name) {
      case "SUBSCRIBED": {
        const subscription = this.#subscription(frame.value.subscriptionId);
        subscription.confirmed = true;
        for (const { partition, streamId, startOffset } of frame.value.streams) {
          const stream = { subscriptionId: subscription.id, partition, startOffset, next: startOffset };
          this.#check(!this.#byStreamId.has(streamId), `stream ${streamId} is given twice`);
          this.#byStreamId.set(streamId, stream);
          subscription.streams.set(partition, stream);
        }
        break;
      }
      case "STREAM": {
        const { fromStreamId, toStreamId, subscriptionId, partition } = frame.value;
        this.moves += 1;
        const stream = this.#byStreamId.get(fromStreamId);
        this.#check(
          stream?.subscriptionId === subscriptionId && stream.partition === partition,
          `STREAM from ${fromStreamId} does not name its stream`,
        );
        this.#check(!this.#byStreamId.has(toStreamId), `two streams share the id ${toStreamId}`);
        this.#byStreamId.delete(fromStreamId);
        this.#byStreamId.set(toStreamId, stream as ModelStream);
        break;
      }
      case "PROGRESS": {
        const stream = this.#byStreamId.get(frame.value.streamId);
        if (stream === undefined) throw new Error(`PROGRESS of unknown stream ${frame.value.streamId}`);
        const log = this.#subscription(stream.subscriptionId).log(stream.partition);
        const skipped = log.entries.some(
          ({ baseOffset, count }) =>
            baseOffset + count > stream.next &&
            baseOffset < frame.value.nextOffset &&
            baseOffset >= log.logStartOffset,
        );
        this.#check(!skipped, `PROGRESS to ${frame.value.nextOffset} skips records`);
        this.#check(frame.value.nextOffset > stream.next, "PROGRESS goes back");
        stream.next = stream.startOffset = frame.value.nextOffset;
        break;
      }
      case "DELIVER":
        this.#deliver(frame.value, length);
        break;
      case "ERROR": {
        const { name, details } = frame.value;
        const subscription = this.subscriptions.get(details.subscriptionId as number);
        // A client tries again later.
        if (name === "SHARD_RESTARTED" && subscription?.confirmed === false) this.end(subscription);
        else this.errors.push(name);
        break;
      }
      case "UNSUBSCRIBED":
      case "WELCOME":
        break;
      default:
        this.#fail(`unexpected ${frame.name}`);
    }
  }

  #deliver(frame: Extract<Frame, { name: "DELIVER" }>["value"], length: number): void {
    const stream = this.#byStreamId.get(frame.streamId);
    if (stream === undefined) throw new Error(`DELIVER for unknown stream ${frame.streamId}`);
    const subscription = this.#subscription(stream.subscriptionId);
    subscription.creditUsed += length;
    this.#check(subscription.creditUsed <= subscription.creditLimit, "more was sent than credit allows");
    this.#check(!subscription.ended, "a delivery after the end");
    const log = subscription.log(stream.partition);
    for (const entry of frame.entries) {
      const { baseOffset, count, batch } = entry;
      const atStart = stream.next === stream.startOffset && baseOffset < stream.next;
      this.#check(
        baseOffset === stream.next || (atStart && baseOffset + count > stream.next),
        `partition ${stream.partition}: got ${baseOffset}, expected ${stream.next}`,
      );
      const original = log.allEntries.get(baseOffset);
      const same = original !== undefined && Buffer.compare(batch, original.stored.subarray(0, -5)) === 0;
      this.#check(same, `the batch at ${baseOffset} is not the one that was stored`);
      stream.next = baseOffset + count;
      this.delivered += 1;
    }
    this.#check(frame.nextOffset === stream.next, "nextOffset does not follow the entries");
  }

  /** Forgets the subscription: from now on nothing may come for it. */
  end(subscription: ModelSubscription): void {
    subscription.ended = true;
    this.subscriptions.delete(subscription.id);
    for (const [streamId, stream] of this.#byStreamId) {
      if (stream.subscriptionId === subscription.id) this.#byStreamId.delete(streamId);
    }
  }

  #subscription(id: number): ModelSubscription {
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) throw new Error(`a frame for subscription ${id}, which there is not`);
    return subscription;
  }

  #check(fact: boolean, message: string): void {
    if (!fact) this.#fail(message);
  }

  #fail(message: string): void {
    throw new Error(message);
  }
}
