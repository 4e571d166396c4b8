import { readU32, readU64, writeU64 } from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";

/**
 * A settled file: entries of a stretch of the journal, to be kept, with their index. Its name is
 * `<base position, 16 digits>-<epoch, 8 digits>-<part, 4 digits>.settled`; it never changes. Little-endian.
 *
 *     byte
 *       0 | "MRSETTL1"                                        |
 *       8 | format version u32     | seed u32                 |  seeds headerCrc of each entry
 *      16 | shardId u32            | epoch u32                |  of the owner that made it
 *      24 | basePosition u64                                  |  of the stretch of the journal
 *      32 | endPosition u64                                   |
 *      40 | part u32               | zeros u32                |
 *      48 | zeros                                             |
 *      56 | zeros u32              | crc u32                  |  CRC-32 of bytes 0..59
 *      64 | entries, by topicId, partition and offset, as they stood in the journal but for headerCrc
 *         | footer: the file's index, see sidecar-layout.ts; points' positions count from the file's start
 *         | trailer
 *
 *     trailer, the last 32 bytes
 *       0 | "MRTRAIL1"                                        |
 *       8 | footerAt u64                                      |  from the file's start
 *      16 | footerLength u64                                  |
 *      24 | zeros u32              | crc u32                  |  CRC-32 of bytes 0..27
 *
 * An *adopted* file is a segment that got footer and trailer behind its entries and this name as its second one: its
 * first 64 bytes and the order of its entries are a segment's.
 */
export const SETTLED_HEADER_BYTES = 64;
export const SETTLED_TRAILER_BYTES = 32;
export const SETTLED_FORMAT_VERSION = 1;
const MAGIC_LOW = 0x45_53_52_4d; // "MRSE"
const MAGIC_HIGH = 0x31_4c_54_54; // "TTL1"
const VERSION_WORD = 2;
const SEED_WORD = 3;
const SHARD_ID_WORD = 4;
const EPOCH_WORD = 5;
const BASE_POSITION_WORD = 6;
const END_POSITION_WORD = 8;
const PART_WORD = 10;
const CRC_WORD = 15;

const TRAILER_MAGIC_LOW = 0x52_54_52_4d; // "MRTR"
const TRAILER_MAGIC_HIGH = 0x31_4c_49_41; // "AIL1"
const FOOTER_AT_WORD = 2;
const FOOTER_LENGTH_WORD = 4;
const TRAILER_CRC_WORD = 7;

const NAME = /^(\d{16})-(\d{8})-(\d{4})\.settled$/;

/** A settled file as its name states it. */
export interface SettledName {
  readonly basePosition: number;
  /** Of the owner that settled it, also when it was adopted. */
  readonly epoch: number;
  /** Files of one stretch hold different partitions. 0 to 9999. */
  readonly part: number;
}

/** What a settled file's first bytes state, unless it was adopted. */
export interface SettledHeader extends SettledName {
  readonly version: number;
  readonly seed: number;
  readonly shardId: number;
  readonly endPosition: number;
}

/** Where a file's index is. */
export interface SettledTrailer {
  readonly footerAt: number;
  readonly footerLength: number;
}

export function settledFileName({ basePosition, epoch, part }: SettledName): string {
  const base = String(basePosition).padStart(16, "0");
  return `${base}-${String(epoch).padStart(8, "0")}-${String(part).padStart(4, "0")}.settled`;
}

/** @returns undefined when `name` is not that of a settled file. */
export function parseSettledFileName(name: string): SettledName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { basePosition: Number(match[1]), epoch: Number(match[2]), part: Number(match[3]) };
}

/** The seed of the entries' checksums in a settled file that was not adopted, as an int32. */
export function settledSeed(journalId: number, { basePosition, epoch, part }: SettledName): number {
  const words = new Int32Array(6);
  words[0] = journalId | 0;
  writeU64(words, 1, basePosition);
  words[3] = epoch | 0;
  words[4] = part | 0;
  words[5] = MAGIC_HIGH;
  return checksumWords(words, 0, words.length, 0);
}

/** The first bytes of a settled file that is not adopted. */
export function encodeSettledHeader(header: Omit<SettledHeader, "version">): Uint8Array {
  const words = new Int32Array(SETTLED_HEADER_BYTES / 4);
  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = SETTLED_FORMAT_VERSION;
  words[SEED_WORD] = header.seed | 0;
  words[SHARD_ID_WORD] = header.shardId | 0;
  words[EPOCH_WORD] = header.epoch | 0;
  writeU64(words, BASE_POSITION_WORD, header.basePosition);
  writeU64(words, END_POSITION_WORD, header.endPosition);
  words[PART_WORD] = header.part;
  words[CRC_WORD] = checksumWords(words, 0, CRC_WORD, 0);
  return new Uint8Array(words.buffer);
}

/**
 * Reads the header from the first 64 bytes, which start at a multiple of 4 in their buffer.
 * @returns undefined when they are not the header of a settled file; those of an adopted one are a segment's.
 */
export function decodeSettledHeader(bytes: Uint8Array): SettledHeader | undefined {
  if (bytes.length < SETTLED_HEADER_BYTES) return undefined;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, SETTLED_HEADER_BYTES / 4);
  if (words[0] !== MAGIC_LOW || words[1] !== MAGIC_HIGH) return undefined;
  if (words[CRC_WORD] !== checksumWords(words, 0, CRC_WORD, 0)) return undefined;
  return {
    version: readU32(words, VERSION_WORD),
    seed: words[SEED_WORD] as number,
    shardId: readU32(words, SHARD_ID_WORD),
    epoch: readU32(words, EPOCH_WORD),
    basePosition: readU64(words, BASE_POSITION_WORD),
    endPosition: readU64(words, END_POSITION_WORD),
    part: readU32(words, PART_WORD),
  };
}

export function encodeSettledTrailer({ footerAt, footerLength }: SettledTrailer): Uint8Array {
  const words = new Int32Array(SETTLED_TRAILER_BYTES / 4);
  words[0] = TRAILER_MAGIC_LOW;
  words[1] = TRAILER_MAGIC_HIGH;
  writeU64(words, FOOTER_AT_WORD, footerAt);
  writeU64(words, FOOTER_LENGTH_WORD, footerLength);
  words[TRAILER_CRC_WORD] = checksumWords(words, 0, TRAILER_CRC_WORD, 0);
  return new Uint8Array(words.buffer);
}

/** @returns undefined when the 32 bytes, at a multiple of 4 in their buffer, are not a trailer. */
export function decodeSettledTrailer(bytes: Uint8Array): SettledTrailer | undefined {
  if (bytes.length < SETTLED_TRAILER_BYTES) return undefined;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, SETTLED_TRAILER_BYTES / 4);
  if (words[0] !== TRAILER_MAGIC_LOW || words[1] !== TRAILER_MAGIC_HIGH) return undefined;
  if (words[TRAILER_CRC_WORD] !== checksumWords(words, 0, TRAILER_CRC_WORD, 0)) return undefined;
  return { footerAt: readU64(words, FOOTER_AT_WORD), footerLength: readU64(words, FOOTER_LENGTH_WORD) };
}
