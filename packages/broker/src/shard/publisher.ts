import type { OneToOneRingBuffer } from "@millrace/core";
import type { Journal } from "@millrace/journal";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { ERROR_CODES, LIMITS } from "@millrace/protocol";
import { BatchHead, crc32Words, walkRecords } from "@millrace/protocol/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { gatewayOf } from "../link/gateway-ids.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../topic.ts";
import {
  completeEntry,
  entryBaseSequence,
  entryChecksum,
  entryCount,
  entryHasChecksum,
  entryLength,
  entryPartition,
  entryProducerEpoch,
  entryProducerId,
  entrySessionId,
  entryTopicId,
  STORED_TRAILER_BYTES,
  writeTrailer,
} from "./entry-fields.ts";
import type { Partition } from "./partition.ts";
import { NO_SESSION, PendingAcks } from "./pending-acks.ts";
import {
  type ProducerState,
  SEQUENCE_DUPLICATE,
  SEQUENCE_FENCED,
  SEQUENCE_GAP,
  SEQUENCE_NEW,
} from "./producer-table.ts";
import type { ShardLink } from "./shard-link.ts";
import type { ShardState } from "./shard-state.ts";

/** What a publisher needs of its shard beside the state: ways to make a change durable. */
export interface StateJournal {
  /** Stages a STATE entry that reserves offsets; `done` runs once it is durable. */
  reserveOffsets(partition: Partition, until: number): void;
}

/**
 * Applies published batches: checks them, gives them offsets, appends them to the journal where they lie in
 * the inbound ring, and keeps the runs to acknowledge until they are as durable as their topic asks.
 * Shard thread only; allocates nothing per batch.
 */
export class Publisher {
  /** Runs that wait for a sync, for the write, and for nothing but the end of the cycle. */
  readonly syncedAcks: PendingAcks = new PendingAcks();
  readonly writtenAcks: PendingAcks = new PendingAcks();
  readonly memoryAcks: PendingAcks = new PendingAcks();
  /** The wire's error number for new batches, 0 = they are taken. Stored ones are acknowledged in any case. */
  refusal = 0;

  readonly #state: ShardState;
  readonly #journal: Journal;
  readonly #link: ShardLink;
  readonly #reservations: StateJournal;
  readonly #ring: OneToOneRingBuffer;
  readonly #head: BatchHead = new BatchHead();
  // Batches of one publisher come in rows: remember whom the last one was for.
  #lastPartition: Partition | undefined;
  #lastProducer: ProducerState | undefined;
  #lastProducerPartition: Partition | undefined;

  constructor(state: ShardState, journal: Journal, link: ShardLink, reservations: StateJournal) {
    this.#state = state;
    this.#journal = journal;
    this.#link = link;
    this.#reservations = reservations;
    this.#ring = link.inbound;
  }

  get isFull(): boolean {
    return this.syncedAcks.isFull || this.writtenAcks.isFull || this.memoryAcks.isFull;
  }

  /** Whether a run that was appended before the journal's `position` still waits to be acknowledged. */
  waitsBefore(position: number): boolean {
    return (
      this.syncedAcks.peek(position) >= 0 ||
      this.writtenAcks.peek(position) >= 0 ||
      this.memoryAcks.peek(position) >= 0
    );
  }

  /** What was appended for this gateway's sessions is acknowledged to nobody. */
  gatewayGone(gateway: number): void {
    for (const table of [this.syncedAcks, this.writtenAcks, this.memoryAcks]) {
      table.forget((sessionId) => gatewayOf(sessionId) === gateway);
    }
  }

  get isIdle(): boolean {
    return this.syncedAcks.size + this.writtenAcks.size + this.memoryAcks.size === 0;
  }

  /**
   * Applies the batch whose entry starts at byte `index` of the inbound ring.
   * @param ringPosition position of that byte, for the tail cache.
   * @param cycle number of the duty cycle: runs of one cycle are acknowledged together.
   * @returns false when it has to be refused and the outbound ring has no room to say so: nothing was
   *   changed, apply it again later.
   */
  apply(index: number, ringPosition: number, cycle: number, nowMs: number): boolean {
    const words = this.#ring.words;
    const topicId = entryTopicId(words, index);
    const partitionNumber = entryPartition(words, index);
    let partition = this.#lastPartition;
    if (
      partition === undefined ||
      partition.topicId !== topicId ||
      partition.partition !== partitionNumber ||
      partition.deleted
    ) {
      partition = this.#state.find(topicId, partitionNumber);
      if (partition === undefined) {
        return this.#refuse(index, ERROR_CODES.UNKNOWN_PARTITION.code, 0);
      }
      this.#lastPartition = partition;
    }

    const invalid = this.#verify(index);
    if (invalid !== 0) {
      return this.#refuse(index, invalid, 0);
    }

    const count = entryCount(words, index);
    const sessionId = entrySessionId(words, index);
    const producerId = entryProducerId(words, index);
    const producerEpoch = entryProducerEpoch(words, index);
    const baseSequence = entryBaseSequence(words, index);
    const producer = producerId === 0 ? undefined : this.#producer(partition, producerId);
    const outcome = producer?.check(producerEpoch, baseSequence, count) ?? SEQUENCE_NEW;
    if (producer !== undefined && outcome === SEQUENCE_DUPLICATE) {
      return this.#acknowledgeAgain(index, partition, producer, cycle);
    }
    // First of all that may change: it is worth another try, and what is refused below may not be.
    const refusal = this.#journal.isFull ? ERROR_CODES.DISK_FULL.code : this.refusal;
    if (refusal !== 0) return this.#refuse(index, refusal, BROKER_LIMITS.retryAfterMs);
    if (partition.appendedBytes >= partition.refuseAtBytes) {
      return this.#refuse(index, ERROR_CODES.TOPIC_FULL.code, BROKER_LIMITS.retryAfterMs);
    }
    if (outcome === SEQUENCE_GAP) return this.#refuse(index, ERROR_CODES.OUT_OF_SEQUENCE.code, 0);
    if (outcome === SEQUENCE_FENCED) return this.#refuse(index, ERROR_CODES.PRODUCER_FENCED.code, 0);
    if (producer === undefined && producerId !== 0 && baseSequence !== 0) {
      return this.#refuse(index, ERROR_CODES.UNKNOWN_PRODUCER.code, 0);
    }

    const baseOffset = partition.nextOffset;
    const nextOffset = baseOffset + count;
    if (partition.durability !== DURABILITY_FSYNCED) this.#reserve(partition, nextOffset);

    const timeMs = Math.max(nowMs, partition.lastTimeMs);
    completeEntry(words, index, baseOffset, timeMs);
    const position = this.#journal.stage(this.#ring, index);
    const length = entryLength(words, index);
    this.#journal.index.add(topicId, partitionNumber, baseOffset, count, timeMs, position, length);
    partition.appendedBytes += length;
    partition.nextOffset = nextOffset;
    partition.lastTimeMs = timeMs;
    partition.tail.push(baseOffset, ringPosition);
    if (producer !== undefined) {
      producer.record(producerEpoch, baseSequence, count, baseOffset, nowMs);
    } else if (producerId !== 0) {
      this.#state.recordProducer(
        partition,
        producerId,
        producerEpoch,
        baseSequence,
        count,
        baseOffset,
        nowMs,
      );
    }
    this.#enqueueAck(cycle, sessionId, partition, producerId, baseSequence, count, baseOffset, nextOffset);
    return true;
  }

  /** Checksum, format, count: 0 or the wire's error number. */
  #verify(index: number): number {
    const ring = this.#ring;
    const bytes = ring.bytes;
    const words = ring.words;
    const start = index + ENTRY_HEADER_BYTES;
    const end = index + entryLength(words, index) - STORED_TRAILER_BYTES;
    const head = this.#head;
    if (head.parse(bytes, start, end) < 0 || head.end !== end) return ERROR_CODES.INVALID_BATCH.code;
    const crc = crc32Words(words, bytes, start, end);
    if (!entryHasChecksum(words, index)) writeTrailer(bytes, words, index, end, crc);
    else if (crc !== entryChecksum(words, index)) return ERROR_CODES.CHECKSUM_MISMATCH.code;
    const records = walkRecords(bytes, head.recordsStart, head.recordsEnd);
    if (records < 0) return ERROR_CODES.INVALID_BATCH.code;
    if (records !== head.count || records === 0 || records !== entryCount(words, index)) {
      return ERROR_CODES.COUNT_MISMATCH.code;
    }
    // A record can only be too large where the batch is: small batches skip the second walk.
    if (head.recordsEnd - head.recordsStart > LIMITS.recordBytesMax) {
      if (hasOversizedRecord(bytes, head.recordsStart, head.recordsEnd)) {
        return ERROR_CODES.RECORD_TOO_LARGE.code;
      }
    }
    return 0;
  }

  #producer(partition: Partition, producerId: number): ProducerState | undefined {
    const last = this.#lastProducer;
    if (last?.producerId === producerId && this.#lastProducerPartition === partition) {
      // The sweep may have forgotten it meanwhile.
      if (partition.producers.get(producerId) === last) return last;
    }
    const found = partition.producers.get(producerId);
    this.#lastProducer = found;
    this.#lastProducerPartition = partition;
    return found;
  }

  /**
   * A duplicate of something committed is acknowledged at once; of something still in flight, with it: its
   * run waits for all that is staged by now.
   */
  #acknowledgeAgain(index: number, partition: Partition, producer: ProducerState, cycle: number): boolean {
    const words = this.#ring.words;
    const offset = producer.duplicateOffset;
    if (Number.isNaN(offset)) {
      return this.#refuse(index, ERROR_CODES.DUPLICATE_SEQUENCE.code, 0);
    }
    const count = entryCount(words, index);
    this.#enqueueAck(
      cycle,
      entrySessionId(words, index),
      partition,
      producer.producerId,
      entryBaseSequence(words, index),
      count,
      offset,
      offset + count,
    );
    return true;
  }

  #enqueueAck(
    cycle: number,
    sessionId: number,
    partition: Partition,
    producerId: number,
    baseSequence: number,
    count: number,
    baseOffset: number,
    nextOffset: number,
  ): void {
    const position = this.#journal.stagedPosition;
    const durability = partition.durability;
    // Offsets beyond the durable reservation are only safe once the reservation is: wait for the sync. Nothing
    // may overtake a run of the same partition that waits.
    const synced =
      durability === DURABILITY_FSYNCED ||
      nextOffset > partition.reservedUntil ||
      partition.pendingSynced > 0;
    if (synced) {
      if (
        this.syncedAcks.push(
          position,
          cycle,
          sessionId,
          partition,
          producerId,
          baseSequence,
          count,
          baseOffset,
        )
      ) {
        partition.pendingSynced += 1;
      }
      return;
    }
    const table = this.#earlyTable(partition, position);
    table.push(position, cycle, sessionId, partition, producerId, baseSequence, count, baseOffset);
  }

  /** The table of a run that waits for no sync. */
  #earlyTable(partition: Partition, position: number): PendingAcks {
    if (partition.durability === DURABILITY_WRITTEN) return this.writtenAcks;
    const altered = partition.alteredPosition;
    if (altered === 0) return this.memoryAcks;
    if (!this.waitsBefore(altered)) {
      partition.alteredPosition = 0;
      return this.memoryAcks;
    }
    if (this.writtenAcks.peek(altered) < 0) return this.memoryAcks;
    // The topic was `written` until now: this run waits behind those that wait for the write.
    partition.alteredPosition = position;
    return this.writtenAcks;
  }

  /** Whether a table that is released later in a cycle has runs that the partition's altered durability left there. */
  #waitsInWeaker(table: PendingAcks, altered: number): boolean {
    if (table === this.memoryAcks) return false;
    if (this.memoryAcks.peek(altered) >= 0) return true;
    return table === this.syncedAcks && this.writtenAcks.peek(altered) >= 0;
  }

  /**
   * Releases the runs of `table` that are durable enough up to `position`: raises high watermarks and writes
   * the acks. False if the outbound ring is full, or a run has to wait for one that was appended before it.
   */
  release(table: PendingAcks, position: number, onAdvanced: (partition: Partition) => void): boolean {
    const reached = this.#reached(table);
    for (;;) {
      const run = table.peek(position);
      if (run < 0) return true;
      const partition = table.partitionAt(run);
      const altered = partition.alteredPosition;
      if (altered > 0 && this.#waitsInWeaker(table, altered)) return false;
      const count = table.countAt(run);
      const baseOffset = table.baseOffsetAt(run);
      const sessionId = table.sessionAt(run);
      // Also when the topic was deleted meanwhile: it was stored, and whoever published it waits for an answer.
      const told =
        sessionId === NO_SESSION ||
        this.#link.writeAck(
          sessionId,
          partition,
          table.producerIdAt(run),
          table.firstSequenceAt(run),
          count,
          baseOffset,
          // The topic may have become more durable than this run is.
          Math.min(partition.durability, reached),
        );
      if (!told) return false;
      if (table === this.syncedAcks) partition.pendingSynced -= 1;
      if (baseOffset + count > partition.highWatermark) {
        partition.highWatermark = baseOffset + count;
        onAdvanced(partition);
      }
      table.shift();
    }
  }

  #reached(table: PendingAcks): number {
    if (table === this.syncedAcks) return DURABILITY_FSYNCED;
    return table === this.writtenAcks ? DURABILITY_WRITTEN : DURABILITY_MEMORY;
  }

  /** Reserves the next block of offsets in time, so that publishes rarely wait for it. */
  #reserve(partition: Partition, nextOffset: number): void {
    const block = BROKER_LIMITS.offsetBlock;
    if (nextOffset + block / 2 <= partition.reservationStaged) return;
    const until = Math.ceil((nextOffset + block) / block) * block;
    partition.reservationStaged = until;
    this.#reservations.reserveOffsets(partition, until);
  }

  #refuse(index: number, errorNumber: number, retryAfterMs: number): boolean {
    const words = this.#ring.words;
    return this.#link.writePublishError(
      entrySessionId(words, index),
      entryTopicId(words, index),
      entryPartition(words, index),
      entryProducerId(words, index),
      entryBaseSequence(words, index),
      entryCount(words, index),
      errorNumber,
      retryAfterMs,
    );
  }
}

function hasOversizedRecord(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const format = bytes[at] as number;
    let length: number;
    if (format === 0xc4) {
      length = bytes[at + 1] as number;
      at += 2;
    } else if (format === 0xc5) {
      length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      at += 3;
    } else {
      length =
        (((bytes[at + 1] as number) << 24) |
          ((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 8) |
          (bytes[at + 4] as number)) >>>
        0;
      at += 5;
    }
    if (length > LIMITS.recordBytesMax) return true;
    at += length;
  }
  return false;
}
