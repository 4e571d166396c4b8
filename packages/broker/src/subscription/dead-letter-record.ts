import type { HeaderValue } from "@millrace/protocol";
import {
  batchHeadBytes,
  CHECKSUM_TRAILER_BYTES,
  crc32,
  FrameWriter,
  RECORD_FLAG,
  type RecordWalker,
  readRecordHeaders,
  recordWithHeaders,
  writeBatchHead,
} from "@millrace/protocol/internal";

/** What a dead letter says of itself, in its headers. */
export const DEAD_LETTER_HEADER = {
  REASON: "millrace-dead-reason",
  DELIVERY_COUNT: "millrace-delivery-count",
  SUBSCRIPTION: "millrace-subscription",
  DEAD_TIME: "millrace-dead-time",
  ORIGIN_TOPIC: "millrace-origin-topic",
  ORIGIN_PARTITION: "millrace-origin-partition",
  ORIGIN_OFFSET: "millrace-origin-offset",
  ORIGIN_TIME: "millrace-origin-time",
} as const;

export interface DeadLetterOrigin {
  readonly reason: string;
  readonly deliveries: number;
  readonly subscription: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timeMs: number;
  readonly deadMs: number;
  /** It was one before, and was redriven: it still comes from where it came from first. */
  readonly isRedriven: boolean;
}

/**
 * The stored payload of a batch of one dead letter: the record that the walker stands at, its attributes, key and value as
 * they are, with the headers of a dead letter in the place of those that it may have had from an earlier death.
 */
export function deadLetterBatch(
  bytes: Uint8Array,
  walker: RecordWalker,
  origin: DeadLetterOrigin,
): Uint8Array {
  const record = new FrameWriter();
  record.bin(deadLetterRecord(bytes, walker.contentStart, walker.contentEnd, origin));
  const records = record.bytes();
  const flags = walker.flags | RECORD_FLAG.HEADERS;
  const headBytes = batchHeadBytes(flags);
  const end = headBytes + records.length;
  const stored = new Uint8Array(end + CHECKSUM_TRAILER_BYTES);
  writeBatchHead(stored, 0, flags, 1, records.length);
  stored.set(records, headBytes);
  const trailer = new FrameWriter();
  trailer.u32(crc32(stored, 0, end));
  stored.set(trailer.bytes(), end);
  return stored;
}

function deadLetterRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  origin: DeadLetterOrigin,
): Uint8Array {
  try {
    const from = origin.isRedriven ? readRecordHeaders(bytes, start, end) : undefined;
    return recordWithHeaders(bytes, start, end, { ...headersOf(origin), ...originIn(from) });
  } catch {
    // Nobody has looked into the record before; whatever it is, it must not be lost.
    return bytes.subarray(start, end);
  }
}

function headersOf(origin: DeadLetterOrigin): Record<string, HeaderValue> {
  return {
    [DEAD_LETTER_HEADER.REASON]: origin.reason,
    [DEAD_LETTER_HEADER.DELIVERY_COUNT]: String(origin.deliveries),
    [DEAD_LETTER_HEADER.SUBSCRIPTION]: origin.subscription,
    [DEAD_LETTER_HEADER.DEAD_TIME]: String(origin.deadMs),
    [DEAD_LETTER_HEADER.ORIGIN_TOPIC]: origin.topic,
    [DEAD_LETTER_HEADER.ORIGIN_PARTITION]: String(origin.partition),
    [DEAD_LETTER_HEADER.ORIGIN_OFFSET]: String(origin.offset),
    [DEAD_LETTER_HEADER.ORIGIN_TIME]: String(origin.timeMs),
  };
}

function originIn(headers: Readonly<Record<string, HeaderValue>> | undefined): Record<string, HeaderValue> {
  const kept: Record<string, HeaderValue> = {};
  for (const name of [
    DEAD_LETTER_HEADER.ORIGIN_TOPIC,
    DEAD_LETTER_HEADER.ORIGIN_PARTITION,
    DEAD_LETTER_HEADER.ORIGIN_OFFSET,
    DEAD_LETTER_HEADER.ORIGIN_TIME,
  ]) {
    const value = headers?.[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
