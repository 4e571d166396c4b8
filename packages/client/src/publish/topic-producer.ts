import { MillraceError } from "@millrace/protocol";
import { abortable } from "../abortable.ts";
import type { FlushOptions, Producer } from "../api/producer.ts";
import type { BatchResult, OutgoingRecord, PublishResult } from "../api/record.ts";
import type { TopicDescription, Topics } from "../api/topics.ts";
import { Backoff } from "../backoff.ts";
import type { DirectLinks } from "../direct/direct-links.ts";
import { PartitionWays } from "../direct/partition-ways.ts";
import type { Entropy } from "../entropy.ts";
import {
  closedError,
  IN_FLIGHT_BATCHES_MAX,
  IN_FLIGHT_RECORDS_MAX,
  type ProducerSettings,
} from "../settings.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import { BuilderPool } from "./builder-pool.ts";
import { OutgoingBatch, type ResolveSend } from "./outgoing-batch.ts";
import { type OutboxOwner, PartitionOutbox } from "./partition-outbox.ts";
import { Partitioner } from "./partitioner.ts";
import type { Publisher } from "./publisher.ts";
import { type WaitingRecord, WaitingRecords } from "./waiting-records.ts";

/** What a producer needs of its client. */
export interface ProducerContext {
  /** Of the client's own connection. */
  readonly publisher: Publisher;
  /** Connections to owners of shards; undefined: none are to be made. */
  readonly direct: DirectLinks | undefined;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** The producer has closed. */
  onClosed(producer: TopicProducer): void;
}

/** The partitions of the topic as they were described, and the outboxes of those that were used. */
interface Destination {
  readonly topicId: number;
  readonly producerId: number;
  readonly partitioner: Partitioner;
  readonly outboxes: (PartitionOutbox | undefined)[];
}

const SWEEP_MS_MAX = 1_000;
/** A record counts for so much where it has a buffer and a promise to itself: 8,192 fill the default buffer. */
const UNBATCHED_BYTES_MIN = 4_096;

/** A producer: takes records, builds batches, bounds the memory, and hands the batches to its partitions' outboxes. */
export class TopicProducer implements Producer, OutboxOwner {
  readonly topic: string;
  readonly clock: Clock;
  readonly #settings: ProducerSettings;
  readonly #context: ProducerContext;
  readonly #builders: BuilderPool;
  readonly #ways: PartitionWays;
  /** Everything not yet settled, for flush. */
  readonly #unsettled: Set<OutgoingBatch> = new Set();
  readonly #waiting: WaitingRecords = new WaitingRecords();
  readonly #open: Set<PartitionOutbox> = new Set();
  /** Outboxes of the topic and of earlier topics of its name that still have something under way. */
  readonly #outboxes: Set<PartitionOutbox> = new Set();
  #destination: Destination | undefined;
  #describing: Promise<void> | undefined;
  #bufferedBytes = 0;
  #roomWaiters: (() => void)[] = [];
  #lingerTimer: TimerHandle;
  #isLingering = false;
  #sweepTimer: TimerHandle;
  #isSweeping = false;
  #appendFailure: MillraceError | undefined;
  #closing: Promise<void> | undefined;
  #closed: MillraceError | undefined;
  /** Whether each record is a batch of its own. */
  readonly #isUnbatched: boolean;
  readonly inFlightMax: number;
  /** Where the record of the `send` under way went; see #executor. */
  #sentTo: OutgoingBatch | undefined;

  constructor(topic: string, settings: ProducerSettings, context: ProducerContext) {
    this.topic = topic;
    this.clock = context.clock;
    this.#settings = settings;
    this.#context = context;
    this.#isUnbatched = settings.batchBytes === 0;
    this.inFlightMax = this.#isUnbatched ? IN_FLIGHT_RECORDS_MAX : IN_FLIGHT_BATCHES_MAX;
    this.#builders = new BuilderPool(settings.batchBytes, settings.maxBufferedBytes);
    this.#ways = new PartitionWays({
      topic,
      topics: context.topics,
      main: context.publisher,
      links: context.direct,
      clock: context.clock,
      onChange: () => this.#choosePublishers(),
    });
    this.#describe().catch(() => {});
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes + this.#waiting.bytes;
  }

  get hasRoom(): boolean {
    return this.#bufferedBytes + this.#waiting.bytes < this.#settings.maxBufferedBytes;
  }

  ready(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return this.#destination === undefined ? this.#describe() : Promise.resolve();
  }

  send(record: OutgoingRecord): Promise<PublishResult> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed ?? closedError("producer"));
    if (this.#destination === undefined || this.#waiting.length > 0 || !this.hasRoom)
      return this.#sendLater(record);
    try {
      this.#sentTo = this.#place(this.#destination, record);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise(this.#executor);
  }

  append(record: OutgoingRecord): Promise<BatchResult> {
    if (this.#closing !== undefined) throw this.#closed ?? closedError("producer");
    if (!this.hasRoom) {
      const { maxBufferedBytes } = this.#settings;
      throw new MillraceError(
        "BUFFER_FULL",
        `${this.bufferedBytes} bytes wait for their acknowledgement already`,
        {
          details: { topic: this.topic, maxBufferedBytes },
        },
      );
    }
    if (this.#destination === undefined || this.#waiting.length > 0) return this.#appendLater(record);
    return this.#place(this.#destination, record).whole;
  }

  async room(options: FlushOptions = {}): Promise<void> {
    while (!this.hasRoom) {
      if (this.#closed !== undefined) throw this.#closed;
      await abortable(new Promise<void>((resolve) => this.#roomWaiters.push(resolve)), options.signal);
    }
  }

  async flush(options: FlushOptions = {}): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed;
    await abortable(this.#settled(), options.signal);
    const failure = this.#appendFailure;
    this.#appendFailure = undefined;
    if (failure !== undefined) throw failure;
  }

  close(): Promise<void> {
    this.#closing ??= this.#settled().then(() => this.abort(closedError("producer")));
    return this.#closing;
  }

  /** Rejects everything that is not settled, at once. */
  abort(error: MillraceError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#closing ??= Promise.resolve();
    this.clock.clearTimer(this.#lingerTimer);
    this.clock.clearTimer(this.#sweepTimer);
    this.#rejectWaiting(error);
    for (const outbox of this.#outboxes) {
      outbox.abort(error);
      outbox.publisher.unregister(outbox, outbox.producerId);
    }
    this.#ways.close();
    this.#outboxes.clear();
    this.#wakeRoom();
    this.#context.onClosed(this);
  }

  // For the outboxes.

  newProducerId(outbox: PartitionOutbox): number {
    const { entropy } = this.#context;
    const { publisher } = outbox;
    const isFirst = outbox.producerId === 0;
    if (!isFirst) publisher.unregister(outbox, outbox.producerId);
    const producerId = isFirst ? (this.#destination as Destination).producerId : entropy.producerId();
    publisher.register(outbox, producerId);
    return producerId;
  }

  onClosed(outbox: PartitionOutbox): void {
    this.#open.delete(outbox);
    this.#destination?.partitioner.onBatchClosed(outbox.partition);
  }

  onDone(batch: OutgoingBatch, error: MillraceError | undefined): void {
    this.#unsettled.delete(batch);
    this.#bufferedBytes -= batch.bytes;
    if (error !== undefined && batch.isAwaitedAsWhole) this.#appendFailure ??= error;
    if (error?.code === "UNKNOWN_TOPIC" || error?.code === "TOPIC_DELETED") this.#forgetTopic();
    this.#builders.give(batch.builder);
    if (this.#waiting.length > 0) this.#placeWaiting();
    if (this.#roomWaiters.length > 0 && this.hasRoom) this.#wakeRoom();
  }

  // One function for all promises: a closure each would cost as much as the promise.
  readonly #executor = (resolve: ResolveSend): void => {
    (this.#sentTo as OutgoingBatch).addSend(resolve);
  };

  /** Puts the record into the open batch of its partition, or into a new one. */
  #place(destination: Destination, record: OutgoingRecord): OutgoingBatch {
    const { partitioner, outboxes } = destination;
    for (;;) {
      const partition = partitioner.partitionOf(record);
      const outbox = outboxes[partition] ?? this.#newOutbox(destination, partition);
      const batch = outbox.building;
      if (batch === undefined) return this.#openBatch(outbox, record);
      const before = batch.builder.byteLength;
      if (batch.builder.append(record)) {
        const bytes = batch.builder.byteLength - before;
        batch.bytes += bytes;
        this.#bufferedBytes += bytes;
        return batch;
      }
      // Full. Without a key another partition is next.
      outbox.closeBuilding();
    }
  }

  #openBatch(outbox: PartitionOutbox, record: OutgoingRecord): OutgoingBatch {
    const builder = this.#builders.take();
    const empty = builder.byteLength;
    // A first record always fits, or it throws; then nothing has happened yet.
    try {
      builder.append(record);
    } catch (error) {
      this.#builders.give(builder);
      throw error;
    }
    const batch = new OutgoingBatch(builder, this.clock.now());
    batch.bytes = builder.byteLength - empty;
    if (this.#isUnbatched) batch.bytes = Math.max(batch.bytes, UNBATCHED_BYTES_MIN);
    this.#bufferedBytes += batch.bytes;
    outbox.building = batch;
    this.#unsettled.add(batch);
    this.#sweep();
    if (this.#isUnbatched) {
      outbox.closeBuilding();
    } else {
      this.#open.add(outbox);
      this.#linger();
    }
    return batch;
  }

  #newOutbox(destination: Destination, partition: number): PartitionOutbox {
    const publisher = this.#ways.publisherOf(partition);
    const outbox = new PartitionOutbox(this, publisher, destination.topicId, partition, this.#newBackoff());
    destination.outboxes[partition] = outbox;
    this.#outboxes.add(outbox);
    return outbox;
  }

  #choosePublishers(): void {
    for (const outbox of this.#outboxes) {
      const isPresent = this.#destination?.outboxes[outbox.partition] === outbox;
      // Of a topic that is gone nobody knows the owners any more.
      outbox.moveTo(isPresent ? this.#ways.publisherOf(outbox.partition) : this.#context.publisher);
    }
  }

  #linger(): void {
    if (this.#isLingering) return;
    this.#isLingering = true;
    const due = (): void => {
      this.#isLingering = false;
      this.#makeDue();
    };
    if (this.#settings.lingerMs === 0) this.clock.afterTurn(due);
    else this.#lingerTimer = this.clock.setTimer(due, this.#settings.lingerMs);
  }

  #makeDue(): void {
    for (const outbox of [...this.#open]) {
      if (outbox.building === undefined) continue;
      outbox.building.due = true;
      outbox.publisher.schedule(outbox);
    }
  }

  /** Looks for batches whose time is over, for as long as there are any. */
  #sweep(): void {
    if (this.#isSweeping || this.#closed !== undefined) return;
    this.#isSweeping = true;
    const { deliveryTimeoutMs } = this.#settings;
    this.#sweepTimer = this.clock.setTimer(
      () => {
        this.#isSweeping = false;
        const createdBefore = this.clock.now() - deliveryTimeoutMs;
        const error = (refusal?: MillraceError): MillraceError => {
          const last = refusal === undefined ? "" : ` (last refused as ${refusal.code})`;
          const message = `no acknowledgement within ${deliveryTimeoutMs} ms${last}; the outcome is unknown`;
          return new MillraceError("TIMEOUT", message, { details: { topic: this.topic }, cause: refusal });
        };
        for (const outbox of this.#outboxes) outbox.expire(createdBefore, error);
        this.#waiting.reject(error, createdBefore);
        this.#dropFormerOutboxes();
        const isIdle = this.#unsettled.size === 0 && this.#waiting.length === 0;
        this.#builders.trim(isIdle);
        if (isIdle) return;
        this.#ways.refresh();
        this.#sweep();
      },
      Math.min(SWEEP_MS_MAX, deliveryTimeoutMs),
    );
  }

  /** Learns the topic's id and partitions; one request at a time, repeated while the broker says "later". */
  #describe(): Promise<void> {
    this.#describing ??= this.#describeWithRetries().then(
      (description) => {
        this.#describing = undefined;
        const { entropy } = this.#context;
        const { topicId, partitions } = description;
        this.#ways.described(description);
        this.#destination = {
          topicId,
          producerId: entropy.producerId(),
          partitioner: new Partitioner(this.topic, partitions, entropy.fraction()),
          outboxes: new Array<PartitionOutbox | undefined>(partitions).fill(undefined),
        };
        this.#placeWaiting();
      },
      (error: MillraceError) => {
        this.#describing = undefined;
        this.#rejectWaiting(error);
        throw error;
      },
    );
    return this.#describing;
  }

  async #describeWithRetries(): Promise<TopicDescription> {
    const backoff = this.#newBackoff();
    const { deliveryTimeoutMs } = this.#settings;
    const giveUpAt = this.clock.now() + deliveryTimeoutMs;
    for (;;) {
      try {
        return await this.#context.topics.describe(this.topic, { timeoutMs: deliveryTimeoutMs });
      } catch (error) {
        const pauseMs = backoff.next();
        const isLater = error instanceof MillraceError && error.retriable && error.code !== "TIMEOUT";
        if (!isLater || this.#closed !== undefined || this.clock.now() + pauseMs > giveUpAt) throw error;
        await new Promise<void>((resolve) => this.clock.setTimer(resolve, pauseMs));
      }
    }
  }

  #newBackoff(): Backoff {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#settings;
    const { entropy } = this.#context;
    return new Backoff(retryBackoffMs, retryBackoffMaxMs, () => entropy.fraction());
  }

  /** The topic is gone. One of the same name is another one, with sequences of its own. */
  #forgetTopic(): void {
    const destination = this.#destination;
    if (destination === undefined) return;
    this.#destination = undefined;
    for (const outbox of destination.outboxes) outbox?.closeBuilding();
    if (this.#waiting.length > 0) this.#describe().catch(() => {});
  }

  /** Of topics that are gone, once everything in them is settled. */
  #dropFormerOutboxes(): void {
    for (const outbox of this.#outboxes) {
      if (!outbox.isEmpty || outbox === this.#destination?.outboxes[outbox.partition]) continue;
      outbox.publisher.unregister(outbox, outbox.producerId);
      this.#outboxes.delete(outbox);
    }
  }

  #sendLater(record: OutgoingRecord): Promise<PublishResult> {
    const { maxWaitingSends } = this.#settings;
    if (this.#waiting.length >= maxWaitingSends) {
      const message = `${this.#waiting.length} records wait for room already`;
      return Promise.reject(new MillraceError("BUFFER_FULL", message, { details: { maxWaitingSends } }));
    }
    return new Promise<PublishResult>((resolve, reject) => {
      this.#wait(record, (batch) => batch.addSend(resolve), reject);
    });
  }

  #appendLater(record: OutgoingRecord): Promise<BatchResult> {
    const placed = new Promise<BatchResult>((resolve, reject) => {
      this.#wait(
        record,
        (batch) => resolve(batch.whole),
        (error) => {
          if (error instanceof MillraceError) this.#appendFailure ??= error;
          reject(error);
        },
      );
    });
    placed.catch(() => {});
    return placed;
  }

  #wait(record: OutgoingRecord, place: WaitingRecord["place"], reject: WaitingRecord["reject"]): void {
    this.#waiting.add({ record, since: this.clock.now(), place, reject });
    this.#sweep();
    if (this.#destination === undefined) this.#describe().catch(() => {});
  }

  /** Places records that wait, in their order, as far as there is room. */
  #placeWaiting(): void {
    const { maxBufferedBytes } = this.#settings;
    const isFlushing = this.#waiting.isAwaited;
    while (this.#destination !== undefined && this.#bufferedBytes < maxBufferedBytes) {
      const waiting = this.#waiting.take();
      if (waiting === undefined) break;
      try {
        waiting.place(this.#place(this.#destination, waiting.record));
      } catch (error) {
        waiting.reject(error);
      }
    }
    if (isFlushing) this.#makeDue();
  }

  #rejectWaiting(error: MillraceError): void {
    this.#waiting.reject(() => error);
    this.#wakeRoom();
  }

  #wakeRoom(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves when everything given so far is settled, one way or the other. */
  async #settled(): Promise<void> {
    this.#makeDue();
    if (this.#waiting.length > 0) {
      await this.#waiting.allTaken();
      this.#makeDue();
    }
    await Promise.all(Array.from(this.#unsettled, (batch) => batch.settled));
  }
}
