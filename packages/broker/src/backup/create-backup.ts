import { link, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  BACKUP_FILE,
  FORMAT_FILE,
  formatText,
  readDataFolder,
  shardDirectory,
  shardFolderName,
} from "../node/data-folder.ts";
import { makeFolder } from "../node/make-folder.ts";
import type { Clock } from "../shard/clock.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { VERSION } from "../version.ts";
import { BackupError } from "./backup-error.ts";
import { emptyFolder, requireFreshFolder, syncFolder, writeDurably } from "./backup-folders.ts";
import { BACKUP_VERSION, type BackupEntry, encodeBackup, sha256Of } from "./backup-layout.ts";
import { type BackupSource, openBackupSource } from "./backup-source.ts";
import { type CopiedFile, PacedCopy } from "./paced-copy.ts";

/** How far a backup or a restore has come. */
export interface BackupProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface BackupOptions {
  readonly dataDir: string;
  /** A folder that does not exist or is empty. */
  readonly destination: string;
  /** Infinity: as fast as it goes. */
  readonly bytesPerSecond: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
  readonly clock?: Clock | undefined;
}

export interface BackupSummary {
  readonly destination: string;
  readonly clusterId: string;
  /** A broker ran on the data folder. */
  readonly live: boolean;
  readonly shards: number;
  readonly files: number;
  readonly bytes: number;
  /** Of those, what has got a second name instead of a copy. */
  readonly linkedFiles: number;
  readonly linkedBytes: number;
}

/** The file system has no second name for this file there. */
const NOT_LINKED = new Set(["EXDEV", "EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/**
 * Copies a data folder, whether a broker runs on it or not. The destination counts once its last file, `millrace.json`,
 * is there; what a failure leaves is removed.
 *
 * @throws BackupError; MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE, DATA_FORMAT_NEWER
 */
export async function createBackup(options: BackupOptions): Promise<BackupSummary> {
  const { dataDir } = options;
  readDataFolder(dataDir);
  const destination = await requireFreshFolder(options.destination, dataDir);
  const source = await openBackupSource(resolve(dataDir));
  try {
    const wasMade = makeFolder(resolve(destination)) !== undefined;
    try {
      return await new Copying(options, source, destination).run();
    } catch (error) {
      await emptyFolder(destination, wasMade);
      if (options.signal?.aborted === true) throw new BackupError("ABORTED", "the backup was interrupted");
      throw source.lost.aborted ? source.lost.reason : error;
    }
  } finally {
    await source.close();
  }
}

class Copying {
  readonly #options: BackupOptions;
  readonly #source: BackupSource;
  readonly #destination: string;
  readonly #copy: PacedCopy;
  readonly #clock: Clock;
  readonly #entries: BackupEntry[] = [];
  readonly #filesTotal: number;
  readonly #bytesTotal: number;
  #bytes = 0;
  #linkedFiles = 0;
  #linkedBytes = 0;

  constructor(options: BackupOptions, source: BackupSource, destination: string) {
    this.#options = options;
    this.#source = source;
    this.#destination = destination;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const files = source.shards.flatMap((shard) => shard.files);
    this.#filesTotal = files.length;
    this.#bytesTotal = files.reduce((sum, file) => sum + file.bytes, 0);
    const { signal } = options;
    this.#copy = new PacedCopy({
      bytesPerSecond: options.bytesPerSecond,
      clock: this.#clock,
      signal: signal === undefined ? source.lost : AbortSignal.any([signal, source.lost]),
      onBytes: (bytes) => {
        this.#bytes += bytes;
        this.#report();
      },
    });
  }

  async run(): Promise<BackupSummary> {
    const { dataDir } = this.#options;
    const { clusterId } = readDataFolder(dataDir);
    const { shards, isLive } = this.#source;
    const destination = this.#destination;
    for (const shard of shards) {
      const folder = shardDirectory(destination, shard.shardId);
      await mkdir(folder, { recursive: true });
      for (const file of shard.files) {
        const copied = await this.#take(
          join(shard.folder, file.name),
          join(folder, file.name),
          file.bytes,
          file.isFixed,
        );
        if (copied.bytes !== file.bytes) {
          const path = join(shard.folder, file.name);
          throw new BackupError(
            "BACKUP_FAILED",
            `file ended at ${copied.bytes} instead of ${file.bytes}: ${path}`,
          );
        }
        this.#entries.push({ path: `shards/${shardFolderName(shard.shardId)}/${file.name}`, ...copied });
        this.#report();
      }
      await syncFolder(folder);
    }
    this.#source.lost.throwIfAborted();
    const format = formatText(shards.length, clusterId);
    this.#entries.push({ path: FORMAT_FILE, bytes: Buffer.byteLength(format), sha256: sha256Of(format) });
    await this.#finish(format, clusterId);
    return {
      destination,
      clusterId,
      live: isLive,
      shards: shards.length,
      files: this.#filesTotal,
      bytes: this.#bytesTotal,
      linkedFiles: this.#linkedFiles,
      linkedBytes: this.#linkedBytes,
    };
  }

  /** The description, then the file without which the folder is nothing; each only when all before it is durable. */
  async #finish(format: string, clusterId: string): Promise<void> {
    const destination = this.#destination;
    await syncFolder(join(destination, "shards"));
    const shards = this.#source.shards.map(({ shardId, position }) => ({ shard: shardId, position }));
    const text = encodeBackup({
      version: BACKUP_VERSION,
      time: new Date(this.#clock.wallMs()).toISOString(),
      millrace: VERSION,
      clusterId,
      shards: shards.sort((a, b) => a.shard - b.shard),
      files: this.#entries,
    });
    await writeDurably(join(destination, BACKUP_FILE), text);
    await syncFolder(destination);
    await writeDurably(join(destination, FORMAT_FILE), format);
    await syncFolder(destination);
    await syncFolder(dirname(destination));
  }

  async #take(from: string, to: string, bytes: number, isFixed: boolean): Promise<CopiedFile> {
    if (!isFixed || !(await linked(from, to))) return this.#copy.copy(from, to, bytes);
    this.#linkedFiles += 1;
    this.#linkedBytes += bytes;
    return this.#copy.check(to, bytes);
  }

  #report(): void {
    this.#options.onProgress?.({
      files: this.#entries.length,
      filesTotal: this.#filesTotal,
      bytes: this.#bytes,
      bytesTotal: this.#bytesTotal,
    });
  }
}

/** @returns false where a copy has to do. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NOT_LINKED.has((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}
