import { DeliverReader } from "@millrace/protocol";
import type { ReceivedBatch, ReceivedRecord } from "../api/record.ts";
import type { Gap } from "../api/subscription.ts";
import { Deque } from "../deque.ts";
import { DeliveryWindow } from "./delivery-window.ts";
import type { LogIdentity, PartitionCursor } from "./partition-cursor.ts";
import { openBatch, ReceivedRecordBatch } from "./received-record-batch.ts";

/** What came from the broker: a DELIVER frame, the word that offsets are left out, or that the log is another one. */
type Arrival =
  | {
      readonly kind: "frame";
      readonly cursor: PartitionCursor;
      readonly bytes: Uint8Array;
      readonly buffer: ArrayBufferLike;
      readonly nextOffset: number;
    }
  | {
      readonly kind: "skip";
      readonly cursor: PartitionCursor;
      readonly toOffset: number;
      readonly reason: string;
    }
  | {
      readonly kind: "change";
      readonly cursor: PartitionCursor;
      readonly toOffset: number;
      readonly log: LogIdentity;
      readonly end: number;
    };

type FrameArrival = Extract<Arrival, { kind: "frame" }>;

/** What the reading leads to, besides records. */
export interface ArrivalHandlers {
  /** The application got to a gap. */
  onGap(gap: Gap): void;
  /** It has consumed enough that the broker is to be told a new credit limit. */
  onCredit(creditLimit: number): void;
}

/**
 * What has arrived for a subscription and was not consumed yet, in order, and the place in it where the application
 * is. Bounded by the window that the broker keeps to. Records are taken one by one or a batch at a time, or both.
 */
export class Arrivals {
  readonly window: DeliveryWindow;
  readonly #topic: string;
  readonly #verify: boolean;
  readonly #handlers: ArrivalHandlers;
  readonly #arrivals: Deque<Arrival> = new Deque();
  readonly #entry: DeliverReader = new DeliverReader();
  /** The frame that batches are being taken from, its entries read by the reader above. */
  #frame: FrameArrival | undefined;
  /** The batch that records are being taken from, the next of them, and its partition. */
  #batch: ReceivedRecordBatch | undefined;
  #index = 0;
  #cursor: PartitionCursor | undefined;
  /** Where `#cursor` moves when the next record or batch is asked for; -1: nowhere. */
  #consumedOffset = -1;
  /** Bytes of the frames that take up the window. */
  #heldBytes = 0;

  /** The window may be one with others'. */
  constructor(
    topic: string,
    verifyChecksums: boolean,
    handlers: ArrivalHandlers,
    window: DeliveryWindow = new DeliveryWindow(),
  ) {
    this.window = window;
    this.#topic = topic;
    this.#verify = verifyChecksums;
    this.#handlers = handlers;
  }

  /** Whether there is nothing to be taken that has not been looked at. */
  get isEmpty(): boolean {
    return this.#arrivals.length === 0;
  }

  /** @throws MillraceError CREDIT_EXCEEDED */
  addFrame(cursor: PartitionCursor, bytes: Uint8Array, nextOffset: number): void {
    this.#heldBytes += bytes.length;
    this.window.onReceived(bytes.length);
    cursor.received = Math.max(cursor.received, nextOffset);
    this.#arrivals.push({ kind: "frame", cursor, bytes, buffer: bytes.buffer, nextOffset });
  }

  /** Queues the report of a gap behind what arrived before it. */
  addSkip(cursor: PartitionCursor, toOffset: number, reason: string): void {
    cursor.received = Math.max(cursor.received, toOffset);
    this.#arrivals.push({ kind: "skip", cursor, toOffset, reason });
  }

  /**
   * Queues the report that the log is another one, which goes on for this reader at `toOffset`; that may be further back than
   * it is. What was to be read until the end ends at `end` at the latest.
   */
  addChange(cursor: PartitionCursor, toOffset: number, log: LogIdentity, end: number): void {
    cursor.received = toOffset;
    cursor.log = log;
    this.#arrivals.push({ kind: "change", cursor, toOffset, log, end });
  }

  /** Drops everything. Returns the new credit limit if the broker is to be told of one. */
  clear(): number | undefined {
    const heldBytes = this.#heldBytes;
    this.#arrivals.clear();
    this.#heldBytes = 0;
    this.#frame = undefined;
    this.#batch = undefined;
    return this.window.onConsumed(heldBytes);
  }

  /** The next record, or undefined when none is there now. Throws as `takeBatch` does. */
  takeRecord(): ReceivedRecord | undefined {
    for (;;) {
      this.#settleConsumed();
      let batch = this.#batch;
      if (batch === undefined) {
        batch = this.#nextBatch();
        if (batch === undefined) return undefined;
        this.#batch = batch;
        this.#index = 0;
      }
      const index = this.#index;
      this.#index += 1;
      if (this.#index >= batch.count) this.#batch = undefined;
      this.#consumedOffset = batch.baseOffset + index + 1;
      const record = batch.recordAt(index);
      if (record !== undefined) return record;
    }
  }

  /**
   * The next batch, or what is left of the present one; undefined when none is there now.
   * @throws MillraceError MALFORMED_FRAME, INVALID_BATCH, COUNT_MISMATCH, CHECKSUM_MISMATCH, UNSUPPORTED_FEATURE
   */
  takeBatch(): ReceivedBatch | undefined {
    this.#settleConsumed();
    const batch = this.#batch?.after(this.#index) ?? this.#nextBatch();
    this.#batch = undefined;
    if (batch === undefined) return undefined;
    this.#consumedOffset = batch.baseOffset + batch.count;
    return batch;
  }

  /** What was handed out last is done with, now that its successor is asked for. */
  #settleConsumed(): void {
    if (this.#consumedOffset < 0) return;
    if (this.#cursor !== undefined) this.#cursor.consumed = this.#consumedOffset;
    this.#consumedOffset = -1;
  }

  #nextBatch(): ReceivedRecordBatch | undefined {
    for (;;) {
      const batch = this.#frame === undefined ? undefined : this.#batchOf(this.#frame);
      if (batch !== undefined) return batch;
      if (!this.#nextFrame()) return undefined;
    }
  }

  /** Goes on to the next arrived frame, past gaps; false when nothing more has arrived. */
  #nextFrame(): boolean {
    for (let arrival = this.#arrivals.shift(); arrival !== undefined; arrival = this.#arrivals.shift()) {
      if (arrival.kind === "skip") {
        this.#passGap(arrival.cursor, arrival.toOffset, arrival.reason);
        continue;
      }
      if (arrival.kind === "change") {
        this.#passChange(arrival);
        continue;
      }
      this.#frame = arrival;
      this.#entry.reset(arrival.bytes, 0, arrival.bytes.length);
      return true;
    }
    return false;
  }

  /** The next wanted batch of the frame; after the last one the frame's bytes are given back as credit. */
  #batchOf(frame: FrameArrival): ReceivedRecordBatch | undefined {
    const entry = this.#entry;
    const { cursor, bytes, buffer } = frame;
    const topic = this.#topic;
    while (!cursor.isDone && entry.next()) {
      const { baseOffset, count, appendTimeMs } = entry;
      if (baseOffset > cursor.delivered) this.#passGap(cursor, baseOffset, "gap");
      const from = Math.max(baseOffset, cursor.delivered);
      const to = Math.min(baseOffset + count, cursor.end);
      if (from >= to) continue;
      const reader = openBatch(topic, cursor.partition, bytes, buffer, entry, this.#verify);
      cursor.delivered = to;
      this.#cursor = cursor;
      return new ReceivedRecordBatch(topic, cursor.partition, reader, baseOffset, from, to, appendTimeMs);
    }
    this.#frame = undefined;
    if (frame.nextOffset > cursor.delivered) this.#passGap(cursor, frame.nextOffset, "gap");
    this.#heldBytes -= bytes.length;
    const limit = this.window.onConsumed(bytes.length);
    if (limit !== undefined) this.#handlers.onCredit(limit);
    return undefined;
  }

  #passGap(cursor: PartitionCursor, offset: number, reason: string): void {
    const { partition, delivered: fromOffset } = cursor;
    const toOffset = Math.max(fromOffset, Math.min(offset, cursor.end));
    if (toOffset === fromOffset) return;
    cursor.delivered = toOffset;
    cursor.consumed = toOffset;
    this.#handlers.onGap({ topic: this.#topic, partition, fromOffset, toOffset, reason });
  }

  /** A changed log is worth a word even when nothing that was seen is missing. */
  #passChange({ cursor, toOffset: offset, log, end }: Extract<Arrival, { kind: "change" }>): void {
    const { partition, delivered: fromOffset } = cursor;
    if (Number.isFinite(cursor.end)) cursor.end = Math.min(cursor.end, end);
    const toOffset = Math.min(offset, cursor.end);
    cursor.delivered = toOffset;
    cursor.consumed = toOffset;
    // SUBSCRIBED may have said more of it since.
    cursor.consumedLog = log.logEpoch === cursor.log.logEpoch ? cursor.log : log;
    this.#handlers.onGap({ topic: this.#topic, partition, fromOffset, toOffset, reason: "log-epoch" });
  }
}
