import { copyBytes } from "@millrace/core";
import {
  BATCH_HEAD_BYTES,
  batchHeadBytes,
  LEASED_HEAD_BYTES,
  LEASED_NO_CHECKSUM_BYTES,
  LEASED_ROW_HEAD_BYTES,
  writeBatchHead,
  writeLeasedHead,
  writeLeasedNoChecksum,
  writeLeasedRowHead,
} from "@millrace/protocol/internal";
import type { ConsumerLink } from "../shard/consumer-link.ts";
import type { EntrySource } from "../shard/entry-source.ts";
import type { DispatchedQueue } from "./dispatched-queue.ts";
import type { LeaseConsumer } from "./lease-consumer.ts";
import { LEASE_RECORDS_MAX, type LeaseTable } from "./lease-table.ts";

/** Of the head of a batch, with room for flags above a fixint. */
const BATCH_HEAD_BYTES_MAX: number = BATCH_HEAD_BYTES + 1;
/** What a row takes beside its records, at most. */
export const LEASED_ROW_BYTES: number =
  LEASED_ROW_HEAD_BYTES + BATCH_HEAD_BYTES_MAX + LEASED_NO_CHECKSUM_BYTES;

/**
 * One LEASED frame on its way into the outbound ring: records are copied there once, from where their stored batch lies,
 * and a row and its lease are made of consecutive ones. One object is used for all frames. Shard thread only.
 */
export class LeaseFrame {
  readonly #link: ConsumerLink;
  readonly #leases: LeaseTable;
  readonly #leaseEpoch: number;
  #consumer: LeaseConsumer | undefined;
  #frame = -1;
  #end = 0;
  #rows = 0;
  #messages = 0;
  #bytesMax = 0;
  /** Where the claim ends. */
  #limit = 0;
  #nowMs = 0;
  // The row that is being filled.
  #queue: DispatchedQueue | undefined;
  #rowAt = 0;
  #recordsAt = 0;
  #offset = 0;
  #count = 0;
  #deliveries = 0;
  #appendTimeMs = 0;
  #batchOffset = 0;
  #flags = 0;
  /** Records of the row that lie side by side in their batch, and are not copied yet. */
  #spanBytes: Uint8Array | undefined;
  #spanStart = 0;
  #spanEnd = 0;
  #spanAt = 0;

  constructor(link: ConsumerLink, leases: LeaseTable, leaseEpoch: number) {
    this.#link = link;
    this.#leases = leases;
    this.#leaseEpoch = leaseEpoch;
  }

  /** Begins a frame of at most `bytesMax` for a consumer. */
  begin(consumer: LeaseConsumer, bytesMax: number, nowMs: number): void {
    this.#consumer = consumer;
    this.#bytesMax = Math.min(bytesMax, this.#link.leasedBytesMax);
    this.#frame = -1;
    this.#rows = 0;
    this.#messages = 0;
    this.#nowMs = nowMs;
  }

  get messages(): number {
    return this.#messages;
  }

  /** Room for the records of one more row. */
  get room(): number {
    const used = this.#frame < 0 ? LEASED_HEAD_BYTES : this.#end - this.#frame;
    return this.#bytesMax - used - LEASED_ROW_BYTES;
  }

  /** Makes sure that there is a place for a row whose batch takes `batchBytes`, at most. False: the ring is full. */
  open(batchBytes: number): boolean {
    const needed = LEASED_HEAD_BYTES + LEASED_ROW_BYTES + batchBytes;
    if (this.#frame >= 0) {
      if (this.#messages > 0 || this.#frame + needed <= this.#limit) return true;
      // The place was for a record that waits for its key.
      this.#link.abortLeased(this.#frame);
    }
    // A single record may be larger than what the consumer has lent.
    const bytes = Math.max(this.#bytesMax, needed);
    this.#frame = this.#link.claimLeased(bytes);
    this.#limit = this.#frame + bytes;
    this.#end = this.#frame + LEASED_HEAD_BYTES;
    return this.#frame >= 0;
  }

  /** Adds a whole stored batch as one row, as it is. False: it does not fit so, but does as a part. */
  addStored(queue: DispatchedQueue, source: EntrySource, deliveries: number): boolean {
    const { storedBytes, count } = source;
    this.#closeRow();
    const at = this.#end;
    // Its head and checksum may take some bytes more than those of the row that there is room for.
    const limit = count === 1 && this.#rows === 0 ? this.#limit : this.#frame + this.#bytesMax;
    if (at + LEASED_ROW_HEAD_BYTES + storedBytes > limit) return false;
    copyBytes(this.#link.bytes, at + LEASED_ROW_HEAD_BYTES, source.bytes, source.start, storedBytes);
    this.#grant(at, queue, source.baseOffset, count, deliveries, source.appendTimeMs);
    this.#end = at + LEASED_ROW_HEAD_BYTES + storedBytes;
    return true;
  }

  /** Adds records of the batch that the source has found, which stand in its bytes[recordsStart, recordsEnd). */
  add(
    queue: DispatchedQueue,
    source: EntrySource,
    flags: number,
    offset: number,
    count: number,
    deliveries: number,
    recordsStart: number,
    recordsEnd: number,
  ): void {
    if (
      this.#queue !== queue ||
      this.#offset + this.#count !== offset ||
      this.#deliveries !== deliveries ||
      this.#batchOffset !== source.baseOffset ||
      this.#count + count > LEASE_RECORDS_MAX
    ) {
      this.#closeRow();
      this.#queue = queue;
      this.#rowAt = this.#end;
      this.#recordsAt = this.#end + LEASED_ROW_HEAD_BYTES + batchHeadBytes(flags);
      this.#end = this.#recordsAt;
      this.#offset = offset;
      this.#count = 0;
      this.#deliveries = deliveries;
      this.#appendTimeMs = source.appendTimeMs;
      this.#batchOffset = source.baseOffset;
      this.#flags = flags;
    }
    if (this.#spanBytes !== source.bytes || this.#spanEnd !== recordsStart) {
      this.#copySpan();
      this.#spanBytes = source.bytes;
      this.#spanStart = recordsStart;
      this.#spanAt = this.#end;
    }
    this.#spanEnd = recordsEnd;
    this.#end += recordsEnd - recordsStart;
    this.#count += count;
    this.#messages += count;
  }

  /** Completes the frame and hands it over, or gives the claim back. @returns its bytes, 0 if there is nothing in it */
  finish(): number {
    this.#closeRow();
    const frame = this.#frame;
    if (frame < 0) return 0;
    this.#frame = -1;
    if (this.#rows === 0) {
      this.#link.abortLeased(frame);
      return 0;
    }
    const { consumerId } = this.#consumer as LeaseConsumer;
    const bytes = this.#end - frame;
    writeLeasedHead(this.#link.bytes, frame, consumerId, this.#rows);
    this.#link.commitLeased(frame, consumerId, this.#messages, bytes);
    return bytes;
  }

  #copySpan(): void {
    const source = this.#spanBytes;
    if (source === undefined) return;
    this.#spanBytes = undefined;
    copyBytes(this.#link.bytes, this.#spanAt, source, this.#spanStart, this.#spanEnd - this.#spanStart);
  }

  #closeRow(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    this.#copySpan();
    this.#queue = undefined;
    const bytes = this.#link.bytes;
    const at = this.#rowAt;
    const count = this.#count;
    writeBatchHead(bytes, at + LEASED_ROW_HEAD_BYTES, this.#flags, count, this.#end - this.#recordsAt);
    this.#messages -= count;
    this.#grant(at, queue, this.#offset, count, this.#deliveries, this.#appendTimeMs);
    this.#end = writeLeasedNoChecksum(bytes, this.#end);
  }

  #grant(
    at: number,
    queue: DispatchedQueue,
    offset: number,
    count: number,
    deliveries: number,
    appendTimeMs: number,
  ): void {
    const consumer = this.#consumer as LeaseConsumer;
    const deadlineMs = this.#nowMs + queue.subscription.settings.leaseMs;
    const counter = this.#leases.grant(
      queue.owner,
      consumer.consumerId,
      offset,
      count,
      deliveries,
      deadlineMs,
    );
    if (counter < 0) throw new Error(`no room for a lease: leases=${this.#leases.count}`);
    const { topicId, partition } = queue.partition;
    writeLeasedRowHead(
      this.#link.bytes,
      at,
      topicId,
      partition,
      offset,
      count,
      appendTimeMs,
      deliveries,
      this.#leaseEpoch,
      counter,
    );
    if (deliveries > 1) queue.queue.redelivered += count;
    this.#rows += 1;
    this.#messages += count;
  }
}
