/**
 * A journal entry, which is a ring record seen from the journal. Little-endian, 8-aligned.
 *
 *     byte
 *       0 | length int32           | type int32              |  header and payload, without the zeros behind
 *       8 | version u8, flags u8, reserved u16 | epoch u32    |
 *      16 | sequence u64                                      |  consecutive in the journal, from 1
 *      24 | syncedPosition u64                                |  what was durable when this was staged
 *      32 | topicId u32            | partition u32           |
 *      40 | baseOffset u64                                    |
 *      48 | count u32              | producerEpoch u32       |
 *      56 | appendTime u64 (ms since 1970)                    |
 *      64 | producerId u64                                    |
 *      72 | baseSequence u64                                  |
 *      80 | batchCrc u32           | headerCrc u32           |  headerCrc: bytes 0..83, seeded by the segment
 *      88 | payload, then zeros up to the next multiple of 8  |
 *
 * batchCrc is the CRC-32 (IEEE) of the payload. The payload of a BATCH ends in that same checksum as MessagePack
 * uint32 (0xce and four bytes, big-endian), which batchCrc does not cover: consumers get batch and checksum as
 * they stand here.
 *
 * Before an entry is staged the gateway keeps the session's id in the low word of `sequence` and
 * FLAG_CLIENT_CHECKSUM in `flags`; staging overwrites both. This file is the only place that knows offsets.
 */

/** Bytes in front of the payload. */
export const ENTRY_HEADER_BYTES = 88;
export const ENTRY_ALIGNMENT = 8;
/** Raised whenever the picture above changes. */
export const ENTRY_VERSION = 1;

/** A batch of records of one partition. */
export const ENTRY_TYPE_BATCH = 1;
/** Changes of the shard's state, applied together. */
export const ENTRY_TYPE_STATE = 2;

/** Only in memory, before staging: batchCrc holds the checksum that the client sent. */
export const FLAG_CLIENT_CHECKSUM = 1;
/**
 * A batch whose payload was damaged, and that a repair has put removed records in place of: whoever reads it reports its
 * offsets as lost to damage, and delivers nothing.
 */
export const FLAG_ERASED = 2;

/** Indexes into int32 words, from the entry's first word. */
export const ENTRY_LENGTH_WORD = 0;
export const ENTRY_TYPE_WORD = 1;
/** version in the low byte, flags in the one above. */
export const ENTRY_VERSION_WORD = 2;
export const ENTRY_EPOCH_WORD = 3;
export const ENTRY_SEQUENCE_WORD = 4;
export const ENTRY_SYNCED_POSITION_WORD = 6;
export const ENTRY_TOPIC_ID_WORD = 8;
export const ENTRY_PARTITION_WORD = 9;
export const ENTRY_BASE_OFFSET_WORD = 10;
export const ENTRY_COUNT_WORD = 12;
export const ENTRY_PRODUCER_EPOCH_WORD = 13;
export const ENTRY_APPEND_TIME_WORD = 14;
export const ENTRY_PRODUCER_ID_WORD = 16;
export const ENTRY_BASE_SEQUENCE_WORD = 18;
export const ENTRY_BATCH_CRC_WORD = 20;
export const ENTRY_HEADER_CRC_WORD = 21;
/** Words that headerCrc covers. */
export const ENTRY_CHECKED_WORDS = 21;

/** Position of `flags` as a shift of the word at ENTRY_VERSION_WORD. */
export const ENTRY_FLAGS_SHIFT = 8;

/** Whether the entry at `wordIndex` has FLAG_ERASED. */
export function isErased(words: Int32Array, wordIndex: number): boolean {
  return ((words[wordIndex + ENTRY_VERSION_WORD] as number) & (FLAG_ERASED << ENTRY_FLAGS_SHIFT)) !== 0;
}

/** Bytes of the checksum behind a batch, and its MessagePack marker. */
export const BATCH_TRAILER_BYTES = 5;
export const BATCH_TRAILER_MARKER = 0xce;

const TWO_32 = 0x1_0000_0000;

/** Bytes that an entry of `length` takes in a segment: the next multiple of 8. */
export function alignEntry(length: number): number {
  return (length + (ENTRY_ALIGNMENT - 1)) & -ENTRY_ALIGNMENT;
}

/** The unsigned 64 bit integer at two words, low word first. Values above 2^53-1 lose precision. */
export function readU64(words: Int32Array, wordIndex: number): number {
  return ((words[wordIndex + 1] as number) >>> 0) * TWO_32 + ((words[wordIndex] as number) >>> 0);
}

/** Stores a whole number from 0 to 2^53-1 in two words, low word first. */
export function writeU64(words: Int32Array, wordIndex: number, value: number): void {
  words[wordIndex] = value | 0;
  words[wordIndex + 1] = (value / TWO_32) | 0;
}

/** The unsigned 32 bit integer at a word. */
export function readU32(words: Int32Array, wordIndex: number): number {
  return (words[wordIndex] as number) >>> 0;
}

/** The fields of an entry that its author decides; the journal fills in the others. Whole numbers. */
export interface EntryFields {
  readonly topicId?: number;
  readonly partition?: number;
  readonly baseOffset?: number;
  readonly count?: number;
  readonly producerEpoch?: number;
  /** ms since 1970. */
  readonly appendTime?: number;
  readonly producerId?: number;
  readonly baseSequence?: number;
}

/** Writes what the author decides into an entry at `wordIndex`; absent fields become 0. */
export function writeEntryFields(words: Int32Array, wordIndex: number, fields: EntryFields): void {
  words[wordIndex + ENTRY_TOPIC_ID_WORD] = (fields.topicId ?? 0) | 0;
  words[wordIndex + ENTRY_PARTITION_WORD] = (fields.partition ?? 0) | 0;
  writeU64(words, wordIndex + ENTRY_BASE_OFFSET_WORD, fields.baseOffset ?? 0);
  words[wordIndex + ENTRY_COUNT_WORD] = (fields.count ?? 0) | 0;
  words[wordIndex + ENTRY_PRODUCER_EPOCH_WORD] = (fields.producerEpoch ?? 0) | 0;
  writeU64(words, wordIndex + ENTRY_APPEND_TIME_WORD, fields.appendTime ?? 0);
  writeU64(words, wordIndex + ENTRY_PRODUCER_ID_WORD, fields.producerId ?? 0);
  writeU64(words, wordIndex + ENTRY_BASE_SEQUENCE_WORD, fields.baseSequence ?? 0);
}
