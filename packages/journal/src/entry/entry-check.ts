import { crc32 } from "@millrace/protocol/internal";
import { JOURNAL_LIMITS } from "../limits.ts";
import {
  BATCH_TRAILER_BYTES,
  BATCH_TRAILER_MARKER,
  ENTRY_BATCH_CRC_WORD,
  ENTRY_CHECKED_WORDS,
  ENTRY_HEADER_BYTES,
  ENTRY_HEADER_CRC_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
} from "./entry-layout.ts";
import { checksumWords } from "./header-checksum.ts";

/**
 * How entries that come from a file are judged. Only tests replace it, to prove that they notice a journal without
 * checksums.
 */
export interface EntryCheck {
  /** The header at `wordIndex` is whole and was written for a segment with this seed. */
  header(words: Int32Array, wordIndex: number, seed: number): boolean;
  /** The payload of the entry at `index` is what its header says. All of it must be in `bytes`. */
  payload(bytes: Uint8Array, words: Int32Array, index: number): boolean;
}

export const ENTRY_CHECK: EntryCheck = { header: isHeaderGood, payload: isPayloadGood };

/** True when a length can be that of an entry. */
export function isEntryLength(length: number): boolean {
  return length >= ENTRY_HEADER_BYTES && length <= JOURNAL_LIMITS.entryBytesMax;
}

/** @param roomBytes what a segment has for entries. @throws RangeError */
export function refuseEntry(index: number, length: number, roomBytes: number): never {
  const bounds = `lengthMin=${ENTRY_HEADER_BYTES} lengthMax=${Math.min(roomBytes, JOURNAL_LIMITS.entryBytesMax)}`;
  throw new RangeError(`not an entry: index=${index} length=${length} ${bounds}`);
}

/** CRC-32 for an entry's header: of the payload, less the trailer behind a batch. */
export function payloadChecksum(bytes: Uint8Array, type: number, start: number, end: number): number {
  return crc32(bytes, start, type === ENTRY_TYPE_BATCH ? end - BATCH_TRAILER_BYTES : end);
}

function isHeaderGood(words: Int32Array, wordIndex: number, seed: number): boolean {
  if (!isEntryLength(words[wordIndex + ENTRY_LENGTH_WORD] as number)) return false;
  return (
    words[wordIndex + ENTRY_HEADER_CRC_WORD] === checksumWords(words, wordIndex, ENTRY_CHECKED_WORDS, seed)
  );
}

function isPayloadGood(bytes: Uint8Array, words: Int32Array, index: number): boolean {
  const wordIndex = index >> 2;
  const type = words[wordIndex + ENTRY_TYPE_WORD] as number;
  const crc = (words[wordIndex + ENTRY_BATCH_CRC_WORD] as number) >>> 0;
  const start = index + ENTRY_HEADER_BYTES;
  const end = index + (words[wordIndex + ENTRY_LENGTH_WORD] as number);
  if (type === ENTRY_TYPE_BATCH) {
    const at = end - BATCH_TRAILER_BYTES;
    if (at < start || bytes[at] !== BATCH_TRAILER_MARKER) return false;
    const trailer =
      ((bytes[at + 1] as number) << 24) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 8) |
      (bytes[at + 4] as number);
    if (trailer >>> 0 !== crc) return false;
  }
  return payloadChecksum(bytes, type, start, end) === crc;
}
