import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { settledFileName } from "@millrace/journal/internal";
import { readDataFolder, shardDirectory, shardFolderName } from "../node/data-folder.ts";
import { FolderLock } from "../node/folder-lock.ts";
import { VERSION } from "../version.ts";
import { BackupError } from "./backup-error.ts";
import { ControlClient } from "./control-client.ts";
import { type NodeSnapshot, SNAPSHOT_FILE } from "./node-snapshot.ts";
import { newestManifestName, readManifest, type SnapshotFile } from "./shard-snapshot.ts";

/** One shard to be copied. */
export interface SourceShard {
  readonly shardId: number;
  readonly folder: string;
  readonly position: number | null;
  readonly files: readonly SnapshotFile[];
}

/** Files that nobody changes until `close`. */
export interface BackupSource {
  /** A broker runs on the data folder. */
  readonly isLive: boolean;
  /** The catalog's shard last. */
  readonly shards: readonly SourceShard[];
  /** Fires when the files can no longer be relied on. */
  readonly lost: AbortSignal;
  close(): Promise<void>;
}

/** How long a broker may take for a step of its snapshot: a commit on a slow disk is among them. */
const STEP_TIMEOUT_MS = 60_000;
const ALIVE_MS = 5_000;
const FOREVER_MS = 0x7fff_ffff;
const TRIES_MAX = 3;

/** What belongs to a shard beside its settled files, by name. What a crash leaves beside is not copied. */
const SHARD_FILE = /\.(log|idx|ckpt)$|^(fence|quarantined|restored|manifest-\d{8})$/;

/**
 * Asks the broker that runs on the folder for a snapshot or, when none does, locks the folder.
 * @throws BackupError; MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE
 */
export async function openBackupSource(dataDir: string): Promise<BackupSource> {
  for (let tries = 1; ; tries += 1) {
    const client = await ControlClient.request(dataDir, "backup");
    if (client !== undefined) return LiveSource.open(client);
    try {
      return await openStopped(dataDir);
    } catch (error) {
      // A broker was started between the two.
      if ((error as { code?: string }).code !== "DATA_DIR_IN_USE" || tries === TRIES_MAX) throw error;
    }
  }
}

/** The snapshot of a broker, which it keeps as long as we are connected and say something now and then. */
class LiveSource implements BackupSource {
  readonly isLive = true;
  readonly shards: readonly SourceShard[];
  readonly #client: ControlClient;
  readonly #lost: AbortController = new AbortController();
  readonly #alive: NodeJS.Timeout;
  readonly #answer: Promise<void>;
  #isClosing = false;

  private constructor(client: ControlClient, folder: string, snapshot: NodeSnapshot) {
    this.#client = client;
    this.shards = snapshot.shards.map(({ shardId, position, files }) => ({
      shardId,
      folder: join(folder, shardFolderName(shardId)),
      position,
      files,
    }));
    this.#alive = setInterval(() => client.send({ copying: true }), ALIVE_MS);
    // Nothing is said to us while we copy: whatever comes, the end of the connection too, is the end of the snapshot.
    this.#answer = client.next(FOREVER_MS).then(
      () => {},
      (error) => {
        if (!this.#isClosing) this.#lost.abort(error);
      },
    );
  }

  static async open(client: ControlClient): Promise<LiveSource> {
    try {
      for (;;) {
        const { result } = await client.next(STEP_TIMEOUT_MS);
        if (result === undefined) continue;
        const { folder } = result as { folder?: unknown };
        if (typeof folder !== "string")
          throw new BackupError("BACKUP_FAILED", "the broker named no snapshot");
        const text = await readFile(join(folder, SNAPSHOT_FILE), "utf8");
        return new LiveSource(client, folder, JSON.parse(text) as NodeSnapshot);
      }
    } catch (error) {
      client.close();
      throw error;
    }
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#alive);
    this.#client.send({ done: true });
    await this.#answer;
    this.#client.close();
  }
}

async function openStopped(dataDir: string): Promise<BackupSource> {
  const lock = await FolderLock.acquire(dataDir, VERSION);
  try {
    const shards: SourceShard[] = [];
    for (let shardId = readDataFolder(dataDir).shards - 1; shardId >= 0; shardId -= 1) {
      const folder = shardDirectory(dataDir, shardId);
      shards.push({ shardId, folder, position: null, files: await filesOf(folder) });
    }
    return { isLive: false, shards, lost: new AbortController().signal, close: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function filesOf(folder: string): Promise<SnapshotFile[]> {
  const names = (await readdir(folder)).sort();
  const name = newestManifestName(names);
  const manifest = name === undefined ? undefined : await readManifest(folder, name);
  // Others do not count, and the next owner may still change them.
  const settled = new Set(manifest?.files.map(settledFileName));
  const missing = [...settled].find((file) => !names.includes(file));
  if (missing !== undefined) {
    throw new BackupError("BACKUP_FAILED", `settled file is missing: ${join(folder, missing)}`);
  }
  const files: SnapshotFile[] = [];
  for (const file of names) {
    const isFixed = settled.has(file);
    if (!isFixed && !SHARD_FILE.test(file)) continue;
    const { size } = await stat(join(folder, file));
    files.push({ name: file, bytes: size, isFixed });
  }
  return files;
}
