import { MillraceError } from "@millrace/protocol";
import { readU32 } from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";
import { readFile, replaceFile, type Storage } from "../storage/storage.ts";

/**
 * The fence: who owns the shard. An owner raises the epoch before it reads the journal, and looks here after each sync
 * and before each checkpoint; another epoch means that the shard has a new owner. Little-endian, replaced as a whole.
 *
 *     byte
 *       0 | "MRFENCE1"                                        |
 *       8 | format version u32     | shardId u32              |
 *      16 | epoch u32              | journalId u32            |  journalId: random, made with the shard
 *      24 | zeros u32              | crc u32                  |  CRC-32 of bytes 0..27
 */
export const FENCE_FILE = "fence";
export const FENCE_BYTES = 32;
export const FENCE_FORMAT_VERSION = 1;
const MAGIC_LOW = 0x45_46_52_4d; // "MRFE"
const MAGIC_HIGH = 0x31_45_43_4e; // "NCE1"
const VERSION_WORD = 2;
const SHARD_ID_WORD = 3;
const EPOCH_WORD = 4;
const JOURNAL_ID_WORD = 5;
const CRC_WORD = 7;

export interface Fence {
  readonly shardId: number;
  readonly epoch: number;
  readonly journalId: number;
}

/**
 * The fence of a shard's folder, or undefined when the folder has none yet.
 * @throws MillraceError JOURNAL_DAMAGED, DATA_FORMAT_NEWER
 */
export function readFence(storage: Storage, directory: string): Fence | undefined {
  const path = `${directory}/${FENCE_FILE}`;
  const bytes = readFile(storage, path);
  return bytes === undefined ? undefined : decodeFence(bytes, path);
}

/**
 * What the bytes of a fence say; `path` is for errors.
 * @throws MillraceError JOURNAL_DAMAGED, DATA_FORMAT_NEWER
 */
export function decodeFence(bytes: Uint8Array, path: string): Fence {
  const words = bytes.length === FENCE_BYTES ? new Int32Array(bytes.buffer, bytes.byteOffset, 8) : undefined;
  if (
    words === undefined ||
    words[0] !== MAGIC_LOW ||
    words[1] !== MAGIC_HIGH ||
    words[CRC_WORD] !== checksumWords(words, 0, CRC_WORD, 0)
  ) {
    throw new MillraceError("JOURNAL_DAMAGED", `fence file is damaged: ${path}`, {
      details: { file: path, position: 0 },
    });
  }
  const version = readU32(words, VERSION_WORD);
  if (version > FENCE_FORMAT_VERSION) {
    throw new MillraceError("DATA_FORMAT_NEWER", `fence file has format ${version}: ${path}`, {
      details: { file: path, version, versionMax: FENCE_FORMAT_VERSION },
    });
  }
  return {
    shardId: readU32(words, SHARD_ID_WORD),
    epoch: readU32(words, EPOCH_WORD),
    journalId: words[JOURNAL_ID_WORD] as number,
  };
}

/** Replaces the fence; durable when it returns. */
export function writeFence(storage: Storage, directory: string, fence: Fence): void {
  replaceFile(storage, directory, FENCE_FILE, encodeFence(fence));
}

/** The whole file. */
export function encodeFence(fence: Fence): Uint8Array {
  const words = new Int32Array(FENCE_BYTES / 4);
  words[0] = MAGIC_LOW;
  words[1] = MAGIC_HIGH;
  words[VERSION_WORD] = FENCE_FORMAT_VERSION;
  words[SHARD_ID_WORD] = fence.shardId | 0;
  words[EPOCH_WORD] = fence.epoch | 0;
  words[JOURNAL_ID_WORD] = fence.journalId | 0;
  words[CRC_WORD] = checksumWords(words, 0, CRC_WORD, 0);
  return new Uint8Array(words.buffer);
}

/** True when `epoch` still owns the shard. An unreadable fence counts as lost: who cannot tell must stop. */
export function holdsFence(storage: Storage, directory: string, epoch: number): boolean {
  return readFence(storage, directory)?.epoch === epoch;
}

/** @throws MillraceError JOURNAL_FAILED when another owner has taken over */
export function requireFence(storage: Storage, directory: string, epoch: number): void {
  if (holdsFence(storage, directory, epoch)) return;
  throw new MillraceError("JOURNAL_FAILED", `another owner has taken over ${directory}: epoch=${epoch}`, {
    details: { reason: "fenced", epoch, directory },
  });
}
