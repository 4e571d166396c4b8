import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A file of a shard's journal; docs/reference/data-folder.md says what is in it. */
export interface JournalFile {
  readonly path: string;
  readonly name: string;
  /** Position in the journal of a segment's first byte, or that a checkpoint covers. */
  readonly position: number;
}

/** Segments of a shard, oldest first. */
export function segmentsOf(dataDir: string, shardId: number): JournalFile[] {
  return filesOf(dataDir, shardId, /^(\d{16})-\d{8}\.log$/);
}

/** Checkpoints of a shard, oldest first. */
export function checkpointsOf(dataDir: string, shardId: number): JournalFile[] {
  return filesOf(dataDir, shardId, /^checkpoint-(\d{16})\.ckpt$/);
}

export function shardFolder(dataDir: string, shardId: number): string {
  return join(dataDir, "shards", String(shardId).padStart(4, "0"));
}

/** Where `bytes` stand in the shard's segments; undefined when they do not. */
export function findInSegments(
  dataDir: string,
  shardId: number,
  bytes: Uint8Array,
): { readonly file: JournalFile; readonly at: number } | undefined {
  for (const file of segmentsOf(dataDir, shardId)) {
    const at = readFileSync(file.path).indexOf(bytes);
    if (at >= 0) return { file, at };
  }
  return undefined;
}

/** Replaces the content of a file. */
export function alterFile(path: string, alter: (bytes: Buffer) => Buffer): void {
  writeFileSync(path, alter(readFileSync(path)));
}

export function withFlippedBit(bytes: Buffer, at: number): Buffer {
  bytes[at] = (bytes[at] as number) ^ 0x10;
  return bytes;
}

export function flipBit(path: string, at: number): void {
  alterFile(path, (bytes) => withFlippedBit(bytes, at));
}

function filesOf(dataDir: string, shardId: number, pattern: RegExp): JournalFile[] {
  const folder = shardFolder(dataDir, shardId);
  return readdirSync(folder)
    .flatMap((name) => {
      const match = pattern.exec(name);
      return match === null ? [] : [{ name, path: join(folder, name), position: Number(match[1]) }];
    })
    .sort((a, b) => a.position - b.position || (a.name < b.name ? -1 : 1));
}
