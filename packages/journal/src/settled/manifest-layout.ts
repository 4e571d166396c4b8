import { crc32 } from "@millrace/protocol/internal";
import { readU32, readU64, writeU64 } from "../entry/entry-layout.ts";
import type { SettledName } from "./settled-layout.ts";

/**
 * A manifest: which settled files count, `manifest-<epoch, 8 digits>`. Each owner writes its own, as a whole, so that a
 * former one cannot change what a later one has read; that of the highest epoch counts. Little-endian.
 *
 *     byte
 *       0 | "MRMANIF1"                                        |
 *       8 | format version u32     | shardId u32              |
 *      16 | epoch u32              | file count u32           |
 *      24 | generation u64                                    |  one more with every change
 *      32 | settledPosition u64                               |  everything before it is settled or gone
 *      40 | partition count u32    | zeros u32                |
 *      48 | files, 96 bytes each, by basePosition and part
 *         | partitions, 16 bytes each: | topicId u32 | partition u32 | bytes u64 |
 *         | crc u32                           CRC-32 of everything before it
 *
 *     file
 *       0 | basePosition u64                                  |
 *       8 | endPosition u64                                   |
 *      16 | epoch u32              | part u32                 |  as in the name
 *      24 | sizeBytes u64                                     |
 *      32 | footerAt u64                                      |
 *      40 | entryBytes u64                                    |  of all batches in it, with the alignment behind each
 *      48 | firstTime u64                                     |  least append time
 *      56 | lastTime u64                                      |  greatest append time
 *      64 | expiryTime u64                                    |  least of its partitions' last append times
 *      72 | firstTopicId u32       | lastTopicId u32          |
 *      80 | partition count u32    | flags u32                |  flags: 1 = adopted
 *      88 | records u64                                       |
 */
export const MANIFEST_HEADER_BYTES = 48;
export const MANIFEST_FILE_BYTES = 96;
export const MANIFEST_PARTITION_BYTES = 16;
export const MANIFEST_FORMAT_VERSION = 1;
export const MANIFEST_FLAG_ADOPTED = 1;
const CRC_BYTES = 4;
const MAGIC_LOW = 0x41_4d_52_4d; // "MRMA"
const MAGIC_HIGH = 0x31_46_49_4e; // "NIF1"
const VERSION_WORD = 2;
const SHARD_ID_WORD = 3;
const EPOCH_WORD = 4;
const FILE_COUNT_WORD = 5;
const GENERATION_WORD = 6;
const SETTLED_POSITION_WORD = 8;
const PARTITION_COUNT_WORD = 10;

const NAME = /^manifest-(\d{8})$/;

/** A settled file as the manifest lists it. Plain data: travels between threads. */
export interface SettledFile extends SettledName {
  readonly endPosition: number;
  readonly sizeBytes: number;
  readonly footerAt: number;
  readonly entryBytes: number;
  readonly firstTime: number;
  readonly lastTime: number;
  /** Nothing in the file expires before this plus its topic's retention: the least of its partitions' last append times. */
  readonly expiryTime: number;
  readonly firstTopicId: number;
  readonly lastTopicId: number;
  readonly partitionCount: number;
  readonly adopted: boolean;
  readonly records: number;
}

/** Bytes of a partition's entries in all settled files together. */
export interface SettledPartition {
  readonly topicId: number;
  readonly partition: number;
  readonly bytes: number;
}

export interface Manifest {
  readonly version: number;
  readonly shardId: number;
  readonly epoch: number;
  readonly generation: number;
  readonly settledPosition: number;
  /** By basePosition and part. */
  readonly files: readonly SettledFile[];
  readonly partitions: readonly SettledPartition[];
}

export function manifestFileName(epoch: number): string {
  return `manifest-${String(epoch).padStart(8, "0")}`;
}

/** @returns the epoch, or undefined when `name` is not that of a manifest. */
export function parseManifestFileName(name: string): number | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** The manifest without its checksum, which whoever writes the file puts behind it. */
export function encodeManifest(manifest: Omit<Manifest, "version">): Uint8Array {
  const { files, partitions } = manifest;
  const size =
    MANIFEST_HEADER_BYTES + files.length * MANIFEST_FILE_BYTES + partitions.length * MANIFEST_PARTITION_BYTES;
  const words = new Int32Array(size / 4);
  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = MANIFEST_FORMAT_VERSION;
  words[SHARD_ID_WORD] = manifest.shardId | 0;
  words[EPOCH_WORD] = manifest.epoch | 0;
  words[FILE_COUNT_WORD] = files.length;
  writeU64(words, GENERATION_WORD, manifest.generation);
  writeU64(words, SETTLED_POSITION_WORD, manifest.settledPosition);
  words[PARTITION_COUNT_WORD] = partitions.length;
  let at = MANIFEST_HEADER_BYTES / 4;
  for (const file of files) {
    writeU64(words, at, file.basePosition);
    writeU64(words, at + 2, file.endPosition);
    words[at + 4] = file.epoch | 0;
    words[at + 5] = file.part;
    writeU64(words, at + 6, file.sizeBytes);
    writeU64(words, at + 8, file.footerAt);
    writeU64(words, at + 10, file.entryBytes);
    writeU64(words, at + 12, file.firstTime);
    writeU64(words, at + 14, file.lastTime);
    writeU64(words, at + 16, file.expiryTime);
    words[at + 18] = file.firstTopicId | 0;
    words[at + 19] = file.lastTopicId | 0;
    words[at + 20] = file.partitionCount;
    words[at + 21] = file.adopted ? MANIFEST_FLAG_ADOPTED : 0;
    writeU64(words, at + 22, file.records);
    at += MANIFEST_FILE_BYTES / 4;
  }
  for (const { topicId, partition, bytes } of partitions) {
    words[at] = topicId | 0;
    words[at + 1] = partition | 0;
    writeU64(words, at + 2, bytes);
    at += MANIFEST_PARTITION_BYTES / 4;
  }
  return new Uint8Array(words.buffer);
}

/**
 * @returns undefined when the bytes are not a whole manifest. Their buffer begins with them. One of a later version is
 * returned without its lists, which may look different there.
 */
export function decodeManifest(bytes: Uint8Array): Manifest | undefined {
  const end = bytes.length - CRC_BYTES;
  if (end < MANIFEST_HEADER_BYTES || end % 4 !== 0 || bytes.byteOffset % 4 !== 0) return undefined;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  if (words[0] !== MAGIC_LOW || words[1] !== MAGIC_HIGH) return undefined;
  if (crc32(bytes, 0, end) !== readU32(words, end >> 2)) return undefined;
  const fileCount = readU32(words, FILE_COUNT_WORD);
  const partitionCount = readU32(words, PARTITION_COUNT_WORD);
  const size =
    MANIFEST_HEADER_BYTES + fileCount * MANIFEST_FILE_BYTES + partitionCount * MANIFEST_PARTITION_BYTES;
  const version = readU32(words, VERSION_WORD);
  const head = {
    version,
    shardId: readU32(words, SHARD_ID_WORD),
    epoch: readU32(words, EPOCH_WORD),
    generation: readU64(words, GENERATION_WORD),
    settledPosition: readU64(words, SETTLED_POSITION_WORD),
  };
  if (version > MANIFEST_FORMAT_VERSION) return { ...head, files: [], partitions: [] };
  if (size !== end) return undefined;
  const files: SettledFile[] = [];
  let at = MANIFEST_HEADER_BYTES / 4;
  for (let i = 0; i < fileCount; i++) {
    files.push({
      basePosition: readU64(words, at),
      endPosition: readU64(words, at + 2),
      epoch: readU32(words, at + 4),
      part: readU32(words, at + 5),
      sizeBytes: readU64(words, at + 6),
      footerAt: readU64(words, at + 8),
      entryBytes: readU64(words, at + 10),
      firstTime: readU64(words, at + 12),
      lastTime: readU64(words, at + 14),
      expiryTime: readU64(words, at + 16),
      firstTopicId: readU32(words, at + 18),
      lastTopicId: readU32(words, at + 19),
      partitionCount: readU32(words, at + 20),
      adopted: ((words[at + 21] as number) & MANIFEST_FLAG_ADOPTED) !== 0,
      records: readU64(words, at + 22),
    });
    at += MANIFEST_FILE_BYTES / 4;
  }
  const partitions: SettledPartition[] = [];
  for (let i = 0; i < partitionCount; i++) {
    partitions.push({
      topicId: readU32(words, at),
      partition: readU32(words, at + 1),
      bytes: readU64(words, at + 2),
    });
    at += MANIFEST_PARTITION_BYTES / 4;
  }
  return { ...head, files, partitions };
}
