import {
  BATCH_TRAILER_BYTES,
  BATCH_TRAILER_MARKER,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_BASE_SEQUENCE_WORD,
  ENTRY_BATCH_CRC_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_EPOCH_WORD,
  ENTRY_FLAGS_SHIFT,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_PRODUCER_EPOCH_WORD,
  ENTRY_PRODUCER_ID_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_VERSION_WORD,
  FLAG_CLIENT_CHECKSUM,
  readU64,
  writeU64,
} from "@millrace/journal/internal";

/**
 * The fields of a batch's entry where it lies in ring memory, by the byte index of the entry's start. Before
 * the entry is staged, the low word of `sequence` holds the id of the session that published it.
 */

export function fillEntryHeader(
  words: Int32Array,
  index: number,
  sessionId: number,
  topicId: number,
  partition: number,
  producerId: number,
  producerEpoch: number,
  baseSequence: number,
  count: number,
  checksum: number,
  hasChecksum: boolean,
): void {
  const w = index >> 2;
  words[w + ENTRY_VERSION_WORD] = hasChecksum ? FLAG_CLIENT_CHECKSUM << ENTRY_FLAGS_SHIFT : 0;
  words[w + ENTRY_SEQUENCE_WORD] = sessionId;
  words[w + ENTRY_TOPIC_ID_WORD] = topicId;
  words[w + ENTRY_PARTITION_WORD] = partition;
  words[w + ENTRY_COUNT_WORD] = count;
  words[w + ENTRY_PRODUCER_EPOCH_WORD] = producerEpoch;
  writeU64(words, w + ENTRY_PRODUCER_ID_WORD, producerId);
  writeU64(words, w + ENTRY_BASE_SEQUENCE_WORD, baseSequence);
  words[w + ENTRY_BATCH_CRC_WORD] = checksum;
}

export function entryLength(words: Int32Array, index: number): number {
  return words[(index >> 2) + ENTRY_LENGTH_WORD] as number;
}

export function entryEpoch(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_EPOCH_WORD] as number) >>> 0;
}

export function entrySessionId(words: Int32Array, index: number): number {
  return words[(index >> 2) + ENTRY_SEQUENCE_WORD] as number;
}

export function entryTopicId(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_TOPIC_ID_WORD] as number) >>> 0;
}

export function entryPartition(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_PARTITION_WORD] as number) >>> 0;
}

export function entryCount(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_COUNT_WORD] as number) >>> 0;
}

export function entryProducerId(words: Int32Array, index: number): number {
  return readU64(words, (index >> 2) + ENTRY_PRODUCER_ID_WORD);
}

export function entryProducerEpoch(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_PRODUCER_EPOCH_WORD] as number) >>> 0;
}

export function entryBaseSequence(words: Int32Array, index: number): number {
  return readU64(words, (index >> 2) + ENTRY_BASE_SEQUENCE_WORD);
}

export function entryBaseOffset(words: Int32Array, index: number): number {
  return readU64(words, (index >> 2) + ENTRY_BASE_OFFSET_WORD);
}

export function entryAppendTime(words: Int32Array, index: number): number {
  return readU64(words, (index >> 2) + ENTRY_APPEND_TIME_WORD);
}

/** The checksum that the client sent; meaningful where entryHasChecksum. */
export function entryChecksum(words: Int32Array, index: number): number {
  return (words[(index >> 2) + ENTRY_BATCH_CRC_WORD] as number) >>> 0;
}

export function entryHasChecksum(words: Int32Array, index: number): boolean {
  const flags = (words[(index >> 2) + ENTRY_VERSION_WORD] as number) >> ENTRY_FLAGS_SHIFT;
  return (flags & FLAG_CLIENT_CHECKSUM) !== 0;
}

/** What only the shard can say. */
export function completeEntry(words: Int32Array, index: number, baseOffset: number, timeMs: number): void {
  const w = index >> 2;
  writeU64(words, w + ENTRY_BASE_OFFSET_WORD, baseOffset);
  writeU64(words, w + ENTRY_APPEND_TIME_WORD, timeMs);
}

/** The client sent no checksum: the shard's goes into the header and behind the batch, at byte `at`. */
export function writeTrailer(
  bytes: Uint8Array,
  words: Int32Array,
  index: number,
  at: number,
  crc: number,
): void {
  bytes[at] = BATCH_TRAILER_MARKER;
  bytes[at + 1] = crc >>> 24;
  bytes[at + 2] = crc >>> 16;
  bytes[at + 3] = crc >>> 8;
  bytes[at + 4] = crc;
  words[(index >> 2) + ENTRY_BATCH_CRC_WORD] = crc;
}

export const STORED_TRAILER_BYTES: number = BATCH_TRAILER_BYTES;
