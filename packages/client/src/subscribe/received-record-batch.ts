import { BatchReader, MillraceError } from "@millrace/protocol";
import type { ReceivedBatch, ReceivedRecord } from "../api/record.ts";

/** Where a batch stands, as an entry of a DELIVER frame says. */
export interface BatchEntry {
  readonly baseOffset: number;
  readonly count: number;
  readonly appendTimeMs: number;
  readonly batchStart: number;
  readonly entryEnd: number;
}

/** One batch of a received frame, or the part of it that is wanted. Values are views of the frame. */
export class ReceivedRecordBatch implements ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly timestamp: number;
  readonly #reader: BatchReader;
  /** Index in the whole batch of the first record that is wanted. */
  readonly #first: number;

  /** The records of `reader` with offsets in [fromOffset, toOffset); `wholeBase` is the offset of its first one. */
  constructor(
    topic: string,
    partition: number,
    reader: BatchReader,
    wholeBase: number,
    fromOffset: number,
    toOffset: number,
    timestamp: number,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.baseOffset = fromOffset;
    this.count = toOffset - fromOffset;
    this.timestamp = timestamp;
    this.#reader = reader;
    this.#first = fromOffset - wholeBase;
  }

  valueAt(index: number): Uint8Array {
    return this.#reader.valueAt(this.#first + this.#checked(index));
  }

  recordAt(index: number): ReceivedRecord | undefined {
    const { key, headers, value, timestamp, removed } = this.#reader.recordAt(
      this.#first + this.#checked(index),
    );
    if (removed) return undefined;
    return {
      topic: this.topic,
      partition: this.partition,
      offset: this.baseOffset + index,
      timestamp: timestamp ?? this.timestamp,
      key,
      headers,
      value,
    };
  }

  *[Symbol.iterator](): IterableIterator<ReceivedRecord> {
    for (let i = 0; i < this.count; i += 1) {
      const record = this.recordAt(i);
      if (record !== undefined) yield record;
    }
  }

  /** The part of the batch from record `index` on. */
  after(index: number): ReceivedRecordBatch {
    const { topic, partition, baseOffset, count, timestamp } = this;
    const wholeBase = baseOffset - this.#first;
    const reader = this.#reader;
    return new ReceivedRecordBatch(
      topic,
      partition,
      reader,
      wholeBase,
      baseOffset + index,
      baseOffset + count,
      timestamp,
    );
  }

  #checked(index: number): number {
    if (index >= 0 && index < this.count) return index;
    throw new RangeError(`no such record: index=${index} count=${this.count}`);
  }
}

/**
 * Opens the batch of one entry of `bytes`, whose memory is `buffer`, and checks it against what the entry states.
 * @throws MillraceError INVALID_BATCH, COUNT_MISMATCH, CHECKSUM_MISMATCH, UNSUPPORTED_FEATURE
 */
export function openBatch(
  topic: string,
  partition: number,
  bytes: Uint8Array,
  buffer: ArrayBufferLike,
  entry: BatchEntry,
  verifyChecksum: boolean,
): BatchReader {
  const reader = new BatchReader();
  reader.reset(bytes, entry.batchStart, entry.entryEnd, buffer);
  if (reader.count !== entry.count) {
    const what = `has ${reader.count} records, not ${entry.count}`;
    throw refusal("COUNT_MISMATCH", topic, partition, entry.baseOffset, what);
  }
  if (verifyChecksum && !reader.verifyChecksum()) {
    const what = "is not what its producer made";
    throw refusal("CHECKSUM_MISMATCH", topic, partition, entry.baseOffset, what);
  }
  return reader;
}

function refusal(
  code: "COUNT_MISMATCH" | "CHECKSUM_MISMATCH",
  topic: string,
  partition: number,
  baseOffset: number,
  what: string,
): MillraceError {
  const message = `batch at offset ${baseOffset} of ${topic}/${partition} ${what}`;
  return new MillraceError(code, message, { details: { topic, partition, baseOffset } });
}
