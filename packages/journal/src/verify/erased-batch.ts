import { crc32, FrameWriter } from "@millrace/protocol/internal";
import { BATCH_TRAILER_BYTES, BATCH_TRAILER_MARKER } from "../entry/entry-layout.ts";

const BATCH_VERSION = 1;
/** One more than a batch has: readers pass over what they do not know, and here it fills up the place. */
const ELEMENTS = 8;
/** A removed record is an empty bin. */
const REMOVED = [0xc4, 0];
const BIN_32 = 0xc6;
const BIN_32_HEAD_BYTES = 5;

/**
 * A stored payload of `length` bytes whose `count` records are removed ones: it takes the place of a payload that is damaged, so
 * that offsets and positions stay what they were.
 * @returns undefined when so many records do not fit, which no payload of that length can have held.
 */
export function erasedPayload(length: number, count: number): Uint8Array | undefined {
  const batchBytes = length - BATCH_TRAILER_BYTES;
  // Each removed record takes two bytes: this refuses before memory is taken for what cannot be.
  if (count * REMOVED.length > batchBytes) return undefined;
  const records = new Uint8Array(count * REMOVED.length);
  for (let at = 0; at < records.length; at += REMOVED.length) records.set(REMOVED, at);
  const writer = new FrameWriter();
  writer.reset();
  writer.arrayHeader(ELEMENTS);
  for (const number of [BATCH_VERSION, 0, 0, count, records.length, 0]) writer.uint(number);
  writer.bin(records);
  const head = writer.take();
  const filling = batchBytes - head.length - BIN_32_HEAD_BYTES;
  if (filling < 0) return undefined;
  const payload = Buffer.alloc(length);
  payload.set(head);
  payload[head.length] = BIN_32;
  payload.writeUInt32BE(filling, head.length + 1);
  payload[batchBytes] = BATCH_TRAILER_MARKER;
  payload.writeUInt32BE(crc32(payload, 0, batchBytes), batchBytes + 1);
  return payload;
}
