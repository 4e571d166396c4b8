import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  BACKUP_FILE,
  ensureFolder,
  FORMAT_FILE,
  formatText,
  shardDirectory,
  shardsDirectory,
} from "../node/data-folder.ts";
import { FolderLock } from "../node/folder-lock.ts";
import type { Clock } from "../shard/clock.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { VERSION } from "../version.ts";
import { BackupError } from "./backup-error.ts";
import { emptyFolder, requireFreshFolder, syncFolder, writeDurably } from "./backup-folders.ts";
import { type BackupDescription, type BackupEntry, decodeBackup } from "./backup-layout.ts";
import type { BackupProgress } from "./create-backup.ts";
import { PacedCopy } from "./paced-copy.ts";
import { RESTORED_FILE } from "./restored-mark.ts";

export interface RestoreOptions {
  /** A folder that `createBackup` made. */
  readonly source: string;
  /** A folder that does not exist or is empty. */
  readonly dataDir: string;
  /** Settled files get a second name instead of a copy, where that is possible. */
  readonly link: boolean;
  /** The new folder takes the place of the old one; else it is a cluster of its own. */
  readonly keepClusterId: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
  readonly clock?: Clock | undefined;
}

export interface RestoreSummary {
  readonly dataDir: string;
  /** When the backup was made, ISO 8601. */
  readonly time: string;
  readonly clusterId: string;
  readonly shards: number;
  readonly files: number;
  readonly bytes: number;
  readonly linkedFiles: number;
}

const NAMES_SHOWN = 10;

/**
 * Makes a data folder of a backup, whose checksums are compared on the way; what a failure leaves is removed. The shards
 * are marked, so that the first start raises all log epochs: what somebody has seen since the backup is gone.
 *
 * @throws BackupError BACKUP_INCOMPLETE, BACKUP_DAMAGED with the names of files, BACKUP_NEWER, FOLDER_NOT_USABLE, ABORTED;
 * MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreSummary> {
  const source = resolve(options.source);
  const backup = await readBackup(source);
  const dataDir = await requireFreshFolder(options.dataDir, source);
  await requireSizes(source, backup);
  const wasMade = !(await exists(dataDir));
  ensureFolder(dataDir);
  const lock = await FolderLock.acquire(dataDir, VERSION);
  try {
    // Whoever was quicker has filled it by now.
    await requireFreshFolder(dataDir, source);
    try {
      return await new Restoring(options, source, dataDir, backup).run();
    } catch (error) {
      await emptyFolder(dataDir, false);
      if (options.signal?.aborted === true) throw new BackupError("ABORTED", "the restore was interrupted");
      throw error;
    }
  } finally {
    await lock.release();
    if (wasMade && !(await exists(join(dataDir, FORMAT_FILE)))) await emptyFolder(dataDir, true);
  }
}

class Restoring {
  readonly #options: RestoreOptions;
  readonly #source: string;
  readonly #dataDir: string;
  readonly #backup: BackupDescription;
  readonly #copy: PacedCopy;
  readonly #files: readonly BackupEntry[];
  #filesDone = 0;
  #bytes = 0;
  #linkedFiles = 0;

  constructor(options: RestoreOptions, source: string, dataDir: string, backup: BackupDescription) {
    this.#options = options;
    this.#source = source;
    this.#dataDir = dataDir;
    this.#backup = backup;
    this.#files = backup.files.filter(({ path }) => path !== FORMAT_FILE);
    this.#copy = new PacedCopy({
      bytesPerSecond: Number.POSITIVE_INFINITY,
      clock: options.clock ?? SYSTEM_CLOCK,
      signal: options.signal ?? new AbortController().signal,
      onBytes: (bytes) => {
        this.#bytes += bytes;
        this.#report();
      },
    });
  }

  async run(): Promise<RestoreSummary> {
    const { shards, time } = this.#backup;
    const dataDir = this.#dataDir;
    for (const { shard } of shards) await mkdir(shardDirectory(dataDir, shard), { recursive: true });
    const damaged: string[] = [];
    for (const entry of this.#files) {
      if (!(await this.#restore(entry))) damaged.push(entry.path);
      this.#filesDone += 1;
      this.#report();
    }
    if (!(await this.#isFormatIntact())) damaged.push(FORMAT_FILE);
    if (damaged.length > 0) {
      throw new BackupError("BACKUP_DAMAGED", `checksum differs: ${listed(damaged)} in ${this.#source}`, {
        details: { files: damaged },
      });
    }
    const clusterId = this.#options.keepClusterId ? this.#backup.clusterId : randomUUID();
    for (const { shard } of shards) {
      const folder = shardDirectory(dataDir, shard);
      if (
        !this.#files.some(({ path }) => path.endsWith(`${folder.slice(dataDir.length)}/${RESTORED_FILE}`))
      ) {
        await writeDurably(join(folder, RESTORED_FILE), `from a backup of ${time}\n`);
      }
      await syncFolder(folder);
    }
    await syncFolder(shardsDirectory(dataDir));
    // Without this file the folder is nothing, so it comes last.
    await syncFolder(dataDir);
    await writeDurably(join(dataDir, FORMAT_FILE), formatText(shards.length, clusterId));
    await syncFolder(dataDir);
    await syncFolder(dirname(dataDir));
    const bytes = this.#files.reduce((sum, file) => sum + file.bytes, 0);
    const files = this.#files.length;
    return { dataDir, time, clusterId, shards: shards.length, files, bytes, linkedFiles: this.#linkedFiles };
  }

  /** @returns whether the file is what it was. */
  async #restore({ path, bytes, sha256 }: BackupEntry): Promise<boolean> {
    const from = join(this.#source, path);
    const to = join(this.#dataDir, path);
    if (this.#options.link && path.endsWith(".settled")) {
      await link(from, to);
      this.#linkedFiles += 1;
      const linked = await this.#copy.check(to, bytes);
      return linked.bytes === bytes && linked.sha256 === sha256;
    }
    const copied = await this.#copy.copy(from, to, bytes);
    return copied.bytes === bytes && copied.sha256 === sha256;
  }

  async #isFormatIntact(): Promise<boolean> {
    const entry = this.#backup.files.find(({ path }) => path === FORMAT_FILE) as BackupEntry;
    const read = await this.#copy.check(join(this.#source, FORMAT_FILE), entry.bytes);
    return read.bytes === entry.bytes && read.sha256 === entry.sha256;
  }

  #report(): void {
    this.#options.onProgress?.({
      files: this.#filesDone,
      filesTotal: this.#files.length,
      bytes: this.#bytes,
      bytesTotal: this.#files.reduce((sum, file) => sum + file.bytes, 0),
    });
  }
}

async function readBackup(source: string): Promise<BackupDescription> {
  const file = join(source, BACKUP_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new BackupError(
      "BACKUP_INCOMPLETE",
      `no backup, or one that was never completed: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  return decodeBackup(text, file);
}

/** Before anything is copied: missing and cut files show at once. */
async function requireSizes(source: string, { files }: BackupDescription): Promise<void> {
  const missing: string[] = [];
  const altered: string[] = [];
  for (const { path, bytes } of files) {
    try {
      const { size } = await stat(join(source, path));
      // A settled file that shares its bytes with a segment has its whole size; no other file has more than listed.
      if (size !== bytes) altered.push(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      missing.push(path);
    }
  }
  if (missing.length > 0) {
    throw new BackupError("BACKUP_INCOMPLETE", `missing: ${listed(missing)} in ${source}`, {
      details: { files: missing },
    });
  }
  if (altered.length > 0) {
    throw new BackupError("BACKUP_DAMAGED", `another size: ${listed(altered)} in ${source}`, {
      details: { files: altered },
    });
  }
}

function listed(paths: readonly string[]): string {
  const more = paths.length - NAMES_SHOWN;
  return paths.slice(0, NAMES_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
