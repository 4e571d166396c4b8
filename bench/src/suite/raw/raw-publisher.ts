import type { DriverSettings, Publisher, PublisherEvents } from "@millrace/load";
import { BrokerSession } from "../../wire/broker-session.ts";
import { buildPublishBlock, type PublishBlock } from "../../wire/publish-block.ts";

const BLOCK_BYTES = 1024 * 1024;
/** One write to the socket; smaller ones only at the end of a burst. */
const WRITE_BYTES_MAX: number = 256 * 1024;
/** Two writes keep the socket busy while the first one's completion travels through the event loop. */
const WRITES_IN_FLIGHT_MAX = 2;
/** Credit is asked for ahead of need. */
const CREDIT_AHEAD_BYTES: number = BLOCK_BYTES;

/**
 * Sends frames of a block that was encoded before: each `publish` stands for the next record of the block, whatever value it is
 * given, and a frame is sent once its last record is taken. `flush` sends what does not fill a frame as a whole one.
 */
export class RawPublisher implements Publisher {
  readonly #session: BrokerSession;
  readonly #block: PublishBlock;
  readonly #events: PublisherEvents;
  readonly #writeFramesMax: number;
  /** Records taken for the frame that is not full yet. */
  #partial = 0;
  /** Frames that are full and not written yet, and where in the block they begin. */
  #ready = 0;
  #cursor = 0;
  #writesInFlight = 0;
  #unacknowledged = 0;
  /** Records that were published to fill the last frame, and that nobody has asked for. */
  #surplus = 0;
  #creditRequested = false;
  #throttledUntil: NodeJS.Timeout | undefined;
  #roomWaiters: (() => void)[] = [];
  #flushWaiters: (() => void)[] = [];

  private constructor(session: BrokerSession, block: PublishBlock, events: PublisherEvents) {
    this.#session = session;
    this.#block = block;
    this.#events = events;
    this.#writeFramesMax = Math.max(1, Math.floor(WRITE_BYTES_MAX / block.wireBytes));
  }

  static async open(url: string, settings: DriverSettings, events: PublisherEvents): Promise<RawPublisher> {
    let onAcknowledged: (records: number) => void = () => undefined;
    let onThrottled: (records: number, retryAfterMs: number) => void = () => undefined;
    const session = await BrokerSession.open(url, "bench-publisher", {
      onAck: (records) => onAcknowledged(records),
      onThrottled: (records, retryAfterMs) => onThrottled(records, retryAfterMs),
      onEntry: () => undefined,
      onDelivered: () => undefined,
      onFailure: events.failed,
    });
    const { target, valueBytes, batchBytes } = settings;
    const keys = Number(settings.options.keys ?? 0);
    const topicIds = [await session.topicId(target)];
    // At least one record is in each frame, however small a batch may be.
    const shape = { topicIds, valueBytes, batchBytes: Math.max(1, batchBytes), keys };
    const block = buildPublishBlock(shape, BLOCK_BYTES);
    const publisher = new RawPublisher(session, block, events);
    onAcknowledged = (records) => publisher.#acknowledged(records);
    onThrottled = (records, retryAfterMs) => publisher.#throttled(records, retryAfterMs);
    return publisher;
  }

  publish(): boolean {
    if (this.#ready >= this.#writeFramesMax && !this.#write()) return false;
    if (++this.#partial === this.#block.recordsPerFrame) {
      this.#partial = 0;
      this.#ready++;
    }
    return true;
  }

  room(): Promise<void> {
    if (this.#ready < this.#writeFramesMax || this.#write()) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  push(): void {
    this.#write();
  }

  async flush(): Promise<void> {
    const { recordsPerFrame } = this.#block;
    if (this.#partial > 0) {
      this.#surplus += recordsPerFrame - this.#partial;
      this.#partial = 0;
      this.#ready++;
    }
    this.#writeAll();
    if (this.#ready === 0 && this.#unacknowledged === 0) return;
    await new Promise<void>((resolve) => this.#flushWaiters.push(resolve));
  }

  async close(): Promise<void> {
    clearTimeout(this.#throttledUntil);
    this.#session.close();
  }

  /** False: nothing could be written. */
  #write(): boolean {
    const { bytes, frames, frameBytes, wireBytes, recordsPerFrame } = this.#block;
    if (this.#writesInFlight >= WRITES_IN_FLIGHT_MAX || this.#throttledUntil !== undefined) return false;
    const credit = this.#session.publishCreditLimit - this.#session.publishedBytes;
    const count = Math.min(
      this.#ready,
      this.#writeFramesMax,
      frames - this.#cursor,
      Math.floor(credit / frameBytes),
    );
    if (credit < CREDIT_AHEAD_BYTES && !this.#creditRequested) {
      this.#creditRequested = true;
      this.#session.requestCredit(CREDIT_AHEAD_BYTES);
    }
    if (count === 0) return false;
    const from = this.#cursor * wireBytes;
    this.#cursor = (this.#cursor + count) % frames;
    this.#ready -= count;
    this.#unacknowledged += count * recordsPerFrame;
    this.#session.publishedBytes += count * frameBytes;
    this.#writesInFlight++;
    this.#session.write(bytes.subarray(from, from + count * wireBytes), this.#onWritten);
    return true;
  }

  /** Until the credit is used up, or the socket is full. */
  #writeAll(): void {
    while (this.#ready > 0 && this.#write());
  }

  readonly #onWritten = (): void => {
    this.#writesInFlight--;
    this.#progressed();
  };

  #acknowledged(records: number): void {
    this.#creditRequested = false;
    if (records > 0) {
      this.#unacknowledged -= records;
      const surplus = Math.min(records, this.#surplus);
      this.#surplus -= surplus;
      this.#events.acknowledged(records - surplus);
    }
    this.#progressed();
  }

  /** Refused, to be sent again: the same number of frames, since their order does not matter to producer 0. */
  #throttled(records: number, retryAfterMs: number): void {
    this.#unacknowledged -= records;
    this.#ready += records / this.#block.recordsPerFrame;
    clearTimeout(this.#throttledUntil);
    this.#throttledUntil = setTimeout(() => {
      this.#throttledUntil = undefined;
      this.#progressed();
    }, Math.ceil(retryAfterMs));
  }

  #progressed(): void {
    if (this.#flushWaiters.length > 0) {
      this.#writeAll();
      if (this.#ready === 0 && this.#unacknowledged === 0) {
        for (const resolve of this.#flushWaiters.splice(0)) resolve();
      }
    }
    if (this.#ready >= this.#writeFramesMax) this.#write();
    if (this.#ready < this.#writeFramesMax) for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }
}
