import { MillraceError } from "@millrace/protocol";
import { readU32 } from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";
import { readFile, type Storage, writeFully } from "../storage/storage.ts";
import { holdsClaim } from "./claim.ts";

/**
 * The fence: what is known of the shard, and the epoch of its newest owner. An owner claims an epoch (claim.ts) and writes it
 * here before it reads the journal. Little-endian, replaced as a whole.
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

/**
 * Writes the fence of the owner that has the claim of this epoch; durable when it returns.
 * @throws MillraceError JOURNAL_FAILED when another owner has taken over
 */
export function writeFence(storage: Storage, directory: string, fence: Fence): void {
  const { epoch } = fence;
  replaceFileFenced(storage, directory, FENCE_FILE, encodeFence(fence), epoch);
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

/**
 * Makes a small file appear whole or not at all, unless another owner has taken over: that one finds the temporary file
 * before it reads anything, and renaming it fails, or the claim is gone when it is looked at.
 * @throws MillraceError JOURNAL_FAILED when another owner has taken over; what the storage throws
 */
export function replaceFileFenced(
  storage: Storage,
  directory: string,
  name: string,
  bytes: Uint8Array,
  epoch: number,
): void {
  const temporary = `${directory}/${name}.${epoch}.tmp`;
  const fd = storage.open(temporary, "create");
  try {
    writeFully(storage, fd, bytes, 0, bytes.length, 0);
    storage.sync(fd);
  } finally {
    storage.close(fd);
  }
  renameFenced(storage, directory, temporary, name, epoch);
  storage.syncDirectory(directory);
}

/** Gives the file its name, unless another owner has taken over. The name is not durable yet. @throws as replaceFileFenced */
export function renameFenced(
  storage: Storage,
  directory: string,
  temporary: string,
  name: string,
  epoch: number,
): void {
  requireFence(storage, directory, epoch);
  try {
    storage.rename(temporary, `${directory}/${name}`);
  } catch (error) {
    // Removed by the new owner.
    requireFence(storage, directory, epoch);
    throw error;
  }
}

/** True while `epoch` owns the shard. Cheap: one look at one name. Who cannot tell must stop, so that counts as no. */
export function holdsFence(storage: Storage, directory: string, epoch: number): boolean {
  return holdsClaim(storage, directory, epoch);
}

/** @throws MillraceError JOURNAL_FAILED when another owner has taken over */
export function requireFence(storage: Storage, directory: string, epoch: number): void {
  if (!holdsFence(storage, directory, epoch)) throw fenced(directory, epoch);
}

/** The failure of an owner whose shard another one has taken over. */
export function fenced(directory: string, epoch: number): MillraceError {
  return new MillraceError("JOURNAL_FAILED", `another owner has taken over ${directory}: epoch=${epoch}`, {
    details: { reason: "fenced", epoch, directory },
  });
}
