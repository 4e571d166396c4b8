import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { refuseNetworkFileSystem } from "./file-system.ts";
import { makeFolder } from "./make-folder.ts";

/** Raised when a data folder of the new version cannot be read by the old one. */
export const DATA_FORMAT_VERSION = 1;

export const FORMAT_FILE = "millrace.json";
/** Makes a folder a backup: it is restored, not run on. */
export const BACKUP_FILE = "backup.json";

/** What is fixed when a data folder is made. */
export interface DataFolder {
  readonly path: string;
  readonly shards: number;
  readonly clusterId: string;
}

export function shardDirectory(dataDir: string, shardId: number): string {
  return join(shardsDirectory(dataDir), shardFolderName(shardId));
}

export function shardFolderName(shardId: number): string {
  return String(shardId).padStart(4, "0");
}

export function shardsDirectory(dataDir: string): string {
  return join(dataDir, "shards");
}

/**
 * Creates the folder if need be, so that it can be locked.
 * @throws MillraceError DATA_DIR_UNUSABLE, also for a network file system
 */
export function ensureFolder(dataDir: string): void {
  const target = resolve(dataDir);
  try {
    const made = makeFolder(target);
    // The names of new folders have to be durable too, or a power failure takes the journals with them.
    for (let path = target; made !== undefined; path = dirname(path)) {
      syncFolder(dirname(path));
      if (path === made) break;
    }
  } catch (cause) {
    throw new MillraceError(
      "DATA_DIR_UNUSABLE",
      `cannot create the data folder ${dataDir}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  refuseNetworkFileSystem(target);
}

/**
 * Opens the folder, or makes it with `shards` shards (defaultShards if not stated). The caller holds the lock.
 * @throws MillraceError SHARD_COUNT_FIXED, DATA_FORMAT_NEWER, DATA_DIR_UNUSABLE
 */
export function openDataFolder(
  dataDir: string,
  shards: number | undefined,
  defaultShards: number,
): DataFolder {
  if (shards !== undefined && !isShardCount(shards)) {
    throw new MillraceError(
      "SHARD_COUNT_FIXED",
      `shards must be 1 to ${BROKER_LIMITS.shardsMax}: shards=${shards}`,
    );
  }
  if (existsSync(join(dataDir, BACKUP_FILE))) {
    throw new MillraceError(
      "DATA_DIR_UNUSABLE",
      `the folder is a backup: make a data folder of it with "millrace restore": ${dataDir}`,
    );
  }
  const file = join(dataDir, FORMAT_FILE);
  if (!existsSync(file)) return createDataFolder(dataDir, shards ?? defaultShards);
  const stored = readFormat(file);
  if (shards !== undefined && shards !== stored.shards) {
    throw new MillraceError(
      "SHARD_COUNT_FIXED",
      `the data folder was made with ${stored.shards} shards, and their number never changes: asked=${shards} folder=${dataDir}`,
      { details: { stored: stored.shards, asked: shards } },
    );
  }
  requireShardFolders(dataDir, stored.shards);
  return { path: dataDir, shards: stored.shards, clusterId: stored.clusterId };
}

/**
 * What a folder is that was made before; nothing is changed, and nobody need hold the lock.
 * @throws MillraceError DATA_FORMAT_NEWER, DATA_DIR_UNUSABLE
 */
export function readDataFolder(dataDir: string): DataFolder {
  const { shards, clusterId } = readFormat(join(dataDir, FORMAT_FILE));
  requireShardFolders(dataDir, shards);
  return { path: dataDir, shards, clusterId };
}

/** The folders were there before the format file: one that is not was lost, and would come back as an empty shard. */
function requireShardFolders(dataDir: string, shards: number): void {
  for (let shard = 0; shard < shards; shard += 1) {
    const folder = shardDirectory(dataDir, shard);
    if (existsSync(folder)) continue;
    throw new MillraceError("DATA_DIR_UNUSABLE", `the folder of shard ${shard} is missing: ${folder}`, {
      details: { shardId: shard },
    });
  }
}

function createDataFolder(dataDir: string, shards: number): DataFolder {
  const clusterId = randomUUID();
  try {
    refuseJournals(dataDir);
    for (let shard = 0; shard < shards; shard += 1)
      mkdirSync(shardDirectory(dataDir, shard), { recursive: true });
    syncFolder(shardsDirectory(dataDir));
    const text = formatText(shards, clusterId);
    const temporary = join(dataDir, `${FORMAT_FILE}.tmp`);
    const fd = openSync(temporary, "w");
    try {
      const bytes = Buffer.from(text);
      if (writeSync(fd, bytes) !== bytes.length) throw new Error(`short write to ${temporary}`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // The format file comes last: a folder without it is made again from the start.
    renameSync(temporary, join(dataDir, FORMAT_FILE));
    syncFolder(dataDir);
  } catch (cause) {
    throw new MillraceError(
      "DATA_DIR_UNUSABLE",
      `cannot make the data folder ${dataDir}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  return { path: dataDir, shards, clusterId };
}

/** The content of `millrace.json`. */
export function formatText(shards: number, clusterId: string): string {
  return `${JSON.stringify({ version: DATA_FORMAT_VERSION, shards, clusterId }, null, 2)}\n`;
}

/** The content of a `millrace.json`. @throws MillraceError DATA_FORMAT_NEWER, DATA_DIR_UNUSABLE */
export function readFormat(file: string): { shards: number; clusterId: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new MillraceError("DATA_DIR_UNUSABLE", `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
  const { version, shards, clusterId } = (parsed ?? {}) as Record<string, unknown>;
  // Before anything else: a later format may say other things.
  if (Number.isInteger(version) && (version as number) > DATA_FORMAT_VERSION) {
    throw new MillraceError(
      "DATA_FORMAT_NEWER",
      `the data folder was written by a newer release: version=${version} known=${DATA_FORMAT_VERSION} file=${file}`,
    );
  }
  if (version !== DATA_FORMAT_VERSION || !isShardCount(shards) || typeof clusterId !== "string") {
    throw new MillraceError(
      "DATA_DIR_UNUSABLE",
      `${file} must have version ${DATA_FORMAT_VERSION}, shards and clusterId: version=${version} shards=${shards}`,
    );
  }
  return { shards, clusterId };
}

function isShardCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= BROKER_LIMITS.shardsMax;
}

/** Journals without the file that says how many there are: it was lost, and guessing would hide topics. */
function refuseJournals(dataDir: string): void {
  const shards = shardsDirectory(dataDir);
  if (!existsSync(shards)) return;
  for (const name of readdirSync(shards)) {
    if (readdirSync(join(shards, name)).length > 0) {
      throw new Error(`${FORMAT_FILE} is missing, but ${join(shards, name)} is not empty`);
    }
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
