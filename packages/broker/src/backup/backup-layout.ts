import { createHash } from "node:crypto";
import { FORMAT_FILE } from "../node/data-folder.ts";
import { BackupError } from "./backup-error.ts";

/** Raised when a backup of the new version cannot be restored by the old one. */
export const BACKUP_VERSION = 1;

/** A file of a backup. */
export interface BackupEntry {
  /** From the backup's folder, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /**
   * Of those bytes, hexadecimal. Not a CRC: most files end with their own, and the CRC of such a file is the same
   * whatever it holds.
   */
  readonly sha256: string;
}

export interface BackupShard {
  readonly shard: number;
  /** Where the copy of its journal ends; null when no broker ran that could have told. */
  readonly position: number | null;
}

/** The content of `backup.json`: JSON, with the SHA-256 of the same JSON, without white space and itself, as its last member. */
export interface BackupDescription {
  readonly version: number;
  /** ISO 8601. */
  readonly time: string;
  /** Release of the command that made it. */
  readonly millrace: string;
  readonly clusterId: string;
  readonly shards: readonly BackupShard[];
  readonly files: readonly BackupEntry[];
}

/** `millrace.json`, or a file in the folder of a shard; nothing that leaves the folder. */
const PATH = /^(?:millrace\.json|shards\/\d{4}\/[A-Za-z0-9][A-Za-z0-9.-]*)$/;

export function encodeBackup(backup: BackupDescription): string {
  return `${JSON.stringify({ ...backup, sha256: sha256Of(JSON.stringify(backup)) }, null, 1)}\n`;
}

/** @throws BackupError BACKUP_DAMAGED, BACKUP_NEWER; `file` is for their messages */
export function decodeBackup(text: string, file: string): BackupDescription {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new BackupError("BACKUP_DAMAGED", `not JSON: ${file}`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null) throw damaged(file, "not an object");
  const { sha256: stored, ...backup } = parsed as BackupDescription & { readonly sha256: unknown };
  // Before anything else: a later format may say other things.
  if (Number.isInteger(backup.version) && backup.version > BACKUP_VERSION) {
    throw new BackupError(
      "BACKUP_NEWER",
      `a newer release made the backup: version=${backup.version} known=${BACKUP_VERSION} file=${file}`,
    );
  }
  if (stored !== sha256Of(JSON.stringify(backup))) throw damaged(file, "checksum");
  const { version, clusterId, shards, files } = backup;
  if (version !== BACKUP_VERSION || typeof clusterId !== "string") throw damaged(file, "version, clusterId");
  if (!Array.isArray(shards) || !Array.isArray(files)) throw damaged(file, "shards, files");
  const seen = new Set<string>();
  for (const { path, bytes, sha256 } of files as readonly BackupEntry[]) {
    if (typeof path !== "string" || !PATH.test(path) || seen.has(path)) throw damaged(file, `path ${path}`);
    if (!Number.isSafeInteger(bytes) || bytes < 0 || typeof sha256 !== "string") throw damaged(file, path);
    seen.add(path);
  }
  if (!seen.has(FORMAT_FILE)) throw damaged(file, `${FORMAT_FILE} is not in it`);
  return backup;
}

export function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function damaged(file: string, what: string): BackupError {
  return new BackupError("BACKUP_DAMAGED", `not what was written (${what}): ${file}`, { details: { file } });
}
