import { readU32, readU64, writeU64 } from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";

/**
 * A segment: a stretch of the journal in one file, `<base position, 16 digits>-<epoch, 8 digits>.log`. A byte's file
 * offset is its position less the base, so the first entry stands at base + 64. Little-endian.
 *
 *     byte
 *       0 | "MRSEGMT1"                                        |
 *       8 | format version u32     | seed u32                 |  seeds headerCrc of each entry
 *      16 | shardId u32            | epoch u32                |
 *      24 | basePosition u64                                  |
 *      32 | syncedPosition u64                                |  what was durable when the segment was begun
 *      40 | zeros                                             |
 *      56 | zeros u32              | crc u32                  |  CRC-32 of bytes 0..59
 *      64 | entries ...
 *
 * A segment ends where the next one begins; the last one ends behind its last good entry. What a file holds beyond
 * (zeros written ahead, or what a former owner wrote after it lost the shard) does not exist.
 *
 * The seed follows from the journal's id, base and epoch. So entries of another file, or of an earlier life of this
 * one, do not pass here; nobody who chooses payloads can forge an entry, since the id is random and never leaves the
 * data folder; and entries can be judged even when the first bytes of their segment are damaged.
 */
export const SEGMENT_HEADER_BYTES = 64;
export const SEGMENT_FORMAT_VERSION = 1;
const MAGIC_LOW = 0x45_53_52_4d; // "MRSE"
const MAGIC_HIGH = 0x31_54_4d_47; // "GMT1"
const VERSION_WORD = 2;
const SEED_WORD = 3;
const SHARD_ID_WORD = 4;
const EPOCH_WORD = 5;
const BASE_POSITION_WORD = 6;
const SYNCED_POSITION_WORD = 8;
const CRC_WORD = 15;

const NAME = /^(\d{16})-(\d{8})\.log$/;

/** A segment as its file name states it. */
export interface SegmentName {
  readonly basePosition: number;
  readonly epoch: number;
}

/** What a segment's first bytes state. */
export interface SegmentHeader {
  readonly version: number;
  readonly seed: number;
  readonly shardId: number;
  readonly epoch: number;
  readonly basePosition: number;
  readonly syncedPosition: number;
}

/** File name without the suffix; the sidecar of the segment has the same. */
function stem(basePosition: number, epoch: number): string {
  return `${String(basePosition).padStart(16, "0")}-${String(epoch).padStart(8, "0")}`;
}

export function segmentFileName(basePosition: number, epoch: number): string {
  return `${stem(basePosition, epoch)}.log`;
}

export function sidecarFileName(basePosition: number, epoch: number): string {
  return `${stem(basePosition, epoch)}.idx`;
}

/** @returns undefined when `name` is not that of a segment. */
export function parseSegmentFileName(name: string): SegmentName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { basePosition: Number(match[1]), epoch: Number(match[2]) };
}

/** The seed of the entries' checksums in a segment, as an int32. */
export function segmentSeed(journalId: number, basePosition: number, epoch: number): number {
  const words = new Int32Array(4);
  words[0] = journalId | 0;
  writeU64(words, 1, basePosition);
  words[3] = epoch | 0;
  return checksumWords(words, 0, 4, 0);
}

/** The first bytes of a new segment. */
export function encodeSegmentHeader(header: Omit<SegmentHeader, "version">): Uint8Array {
  const words = new Int32Array(SEGMENT_HEADER_BYTES / 4);
  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = SEGMENT_FORMAT_VERSION;
  words[SEED_WORD] = header.seed | 0;
  words[SHARD_ID_WORD] = header.shardId | 0;
  words[EPOCH_WORD] = header.epoch | 0;
  writeU64(words, BASE_POSITION_WORD, header.basePosition);
  writeU64(words, SYNCED_POSITION_WORD, header.syncedPosition);
  words[CRC_WORD] = checksumWords(words, 0, CRC_WORD, 0);
  return new Uint8Array(words.buffer);
}

/**
 * Reads a segment's header from its first 64 bytes, which start at a multiple of 4 in their buffer.
 * @returns undefined when the bytes are not a header of any version.
 */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES) return undefined;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, SEGMENT_HEADER_BYTES / 4);
  if (words[0] !== MAGIC_LOW || words[1] !== MAGIC_HIGH) return undefined;
  if (words[CRC_WORD] !== checksumWords(words, 0, CRC_WORD, 0)) return undefined;
  return {
    version: readU32(words, VERSION_WORD),
    seed: words[SEED_WORD] as number,
    shardId: readU32(words, SHARD_ID_WORD),
    epoch: readU32(words, EPOCH_WORD),
    basePosition: readU64(words, BASE_POSITION_WORD),
    syncedPosition: readU64(words, SYNCED_POSITION_WORD),
  };
}
