import type { PartitionBounds, Topic } from "@millrace/broker/internal";
import type { MillraceError } from "@millrace/protocol";
import { Fifo } from "./fifo.ts";
import type { Session } from "./session.ts";
import { type StreamReader, WAITING } from "./stream-reader.ts";

/** Who takes part in a stream subscription that others share. */
export interface ReadingConsumer {
  /** One of its partitions cannot be read on. */
  onReadFailed(stream: StreamReader, error: MillraceError): void;
}

/** A client's wish to read one topic, with the credit that it has given for it. */
export class Subscription {
  readonly session: Session;
  /** The client's subscriptionId; of a consumer its consumerId. */
  readonly id: number;
  /** Of a part in a shared subscription: it says which partitions are read and from where, also after a shard was lost. */
  readonly consumer: ReadingConsumer | undefined;
  /** Undefined until SUBSCRIBED is sent. */
  topic: Topic | undefined;
  streams: readonly StreamReader[] = [];
  /** Streams that want to read, in turn. */
  readonly waiting: Fifo<StreamReader> = new Fifo();
  /** A stream waits for more credit than the client has ever given. */
  hasStarved = false;
  /** Cumulative bytes of DELIVER frames that the client has allowed. */
  creditLimit: number;
  creditUsed = 0;
  /** Credit of the reads under way. */
  lentBytes = 0;
  /** The most credit that the client has ever left open at once: what it will grant again when it has caught up. */
  windowBytes: number;
  pumpPlanned = false;
  /** Nothing is read or delivered for the time being. */
  paused = false;
  ended = false;

  constructor(session: Session, id: number, creditLimit: number, consumer?: ReadingConsumer) {
    this.session = session;
    this.id = id;
    this.consumer = consumer;
    this.creditLimit = creditLimit;
    this.windowBytes = creditLimit;
  }

  /** Credit that is neither used nor lent to a read. */
  get freeCredit(): number {
    return this.creditLimit - this.creditUsed - this.lentBytes;
  }

  /** Kept back from the tail deliveries of other partitions for a stream whose next batch needs so much at once. */
  get heldCredit(): number {
    return this.waiting.first?.neededBytes ?? 0;
  }

  /** The stream wants to read, after the others. */
  enqueue(stream: StreamReader): void {
    stream.state = WAITING;
    if (stream.queued) return;
    stream.queued = true;
    this.waiting.push(stream);
  }

  /** The stream wants to read, before the others: its batch needs more credit at once than was free. */
  enqueueFirst(stream: StreamReader): void {
    stream.state = WAITING;
    if (stream.queued) return;
    stream.queued = true;
    this.waiting.unshift(stream);
  }

  dequeue(): void {
    const stream = this.waiting.shift();
    if (stream !== undefined) stream.queued = false;
  }

  grant(creditLimit: number): void {
    if (creditLimit <= this.creditLimit) return;
    this.creditLimit = creditLimit;
    this.windowBytes = Math.max(this.windowBytes, creditLimit - this.creditUsed);
  }
}

/** Details of an error that say whom it concerns. */
export function readerDetails({ id, consumer }: Subscription): Record<string, unknown> {
  return consumer === undefined ? { subscriptionId: id } : { consumerId: id };
}

/** `resumeOffset`: where a reader of this subscription goes on. */
export type StatedBounds = Omit<PartitionBounds, "retainedBytes"> & { readonly resumeOffset?: number };

/**
 * Details of an error that concerns a subscription. `bounds`, as far as they are known:
 * `[[partition, logStartOffset, highWatermark, logEpoch, resumeOffset]]`, without the last where nobody resumes.
 */
export function subscriptionDetails(
  subscription: Subscription,
  bounds: readonly StatedBounds[],
): Record<string, unknown> {
  const details: Record<string, unknown> = readerDetails(subscription);
  if (subscription.topic !== undefined) details.topicId = subscription.topic.topicId;
  if (bounds.length > 0) {
    details.bounds = bounds.map((entry) => [
      entry.partition,
      entry.logStartOffset,
      entry.highWatermark,
      entry.logEpoch,
      ...(entry.resumeOffset === undefined ? [] : [entry.resumeOffset]),
    ]);
  }
  return details;
}
