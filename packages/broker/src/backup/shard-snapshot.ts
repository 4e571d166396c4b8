import { link, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  chainSegments,
  decodeManifest,
  FENCE_FILE,
  type LiveSegment,
  type Manifest,
  parseCheckpointFileName,
  parseManifestFileName,
  SEGMENT_HEADER_BYTES,
  settledFileName,
  sidecarFileName,
} from "@millrace/journal/internal";
import { BackupError } from "./backup-error.ts";
import { RESTORED_FILE } from "./restored-mark.ts";

/** A file of a shard's folder that belongs to a snapshot. */
export interface SnapshotFile {
  readonly name: string;
  /** From its start; what the file holds beyond does not belong to the snapshot. */
  readonly bytes: number;
  /** Never changes any more, as a whole: a second name for it is as good as a copy. */
  readonly isFixed: boolean;
}

export interface ShardSnapshot {
  readonly shardId: number;
  /** Everything before it is in the snapshot, and nothing behind it. */
  readonly position: number;
  readonly files: readonly SnapshotFile[];
}

export interface ShardSnapshotOptions {
  readonly shardId: number;
  /** The shard's folder, in which its owner goes on working. */
  readonly directory: string;
  /** A folder on the same file system that gets a second name for each file; made here. */
  readonly target: string;
  /** Resolves with a position that is durable, behind everything the shard had taken when this was called. */
  readonly commit: () => Promise<number>;
}

const TRIES_MAX = 50;
const TRY_AGAIN_MS = 10;
const CHECKPOINTS = 2;

/** A file went away between looking and linking: the shard has moved on, look again. */
class Moved extends Error {}

/**
 * Gives second names to the files that make up a shard as of some position, while its owner goes on writing. Nothing is
 * asked of the owner but a commit, since each step leaves files that a crash could have left as well:
 *
 * 1. checkpoints, then the manifest, so that it is not older than what the checkpoints left to it;
 * 2. the settled files of that manifest, which never change;
 * 3. a commit: its position lies behind all that the files so far speak of;
 * 4. the journal from where checkpoints and manifest end up to that position: bytes before it never change;
 * 5. the fence, whose epoch is then that of the newest segment or a later one.
 *
 * Whatever the owner removes meanwhile keeps its second name. A file that goes before it has one begins the whole anew.
 *
 * @throws BackupError BACKUP_FAILED; what `commit` rejects with
 */
export async function snapshotShard(options: ShardSnapshotOptions): Promise<ShardSnapshot> {
  for (let tries = 1; ; tries += 1) {
    try {
      await rm(options.target, { recursive: true, force: true });
      await mkdir(options.target);
      return await new Attempt(options).run();
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
      if (tries === TRIES_MAX) {
        throw new BackupError(
          "BACKUP_FAILED",
          `files kept changing in ${options.directory}: ${error.message}`,
        );
      }
      await sleep(TRY_AGAIN_MS);
    }
  }
}

/** The manifest of the highest epoch is the one that counts. */
export function newestManifestName(names: readonly string[]): string | undefined {
  let newest: { epoch: number; name: string } | undefined;
  for (const name of names) {
    const epoch = parseManifestFileName(name);
    if (epoch !== undefined && epoch > (newest?.epoch ?? -1)) newest = { epoch, name };
  }
  return newest?.name;
}

/** @throws BackupError BACKUP_FAILED when it is damaged */
export async function readManifest(folder: string, name: string): Promise<Manifest> {
  // Bytes that begin with their buffer: the decoder reads words.
  const manifest = decodeManifest(new Uint8Array(await readFile(join(folder, name))));
  if (manifest === undefined)
    throw new BackupError("BACKUP_FAILED", `manifest is damaged: ${join(folder, name)}`);
  return manifest;
}

class Attempt {
  readonly #options: ShardSnapshotOptions;
  readonly #files: SnapshotFile[] = [];

  constructor(options: ShardSnapshotOptions) {
    this.#options = options;
  }

  async run(): Promise<ShardSnapshot> {
    const { shardId, directory, commit } = this.#options;
    const names = await readdir(directory);
    const checkpoints = await this.#takeCheckpoints(names);
    const manifest = await this.#takeManifest(names);
    const position = await commit();
    const later = await readdir(directory);
    // Replay begins at a checkpoint, but batches that are not settled are nowhere else than in the journal.
    const from = Math.min(checkpoints[0] ?? 0, manifest?.settledPosition ?? 0);
    await this.#takeSegments(later, from, position);
    await this.#takeWhole(FENCE_FILE);
    if (later.includes(RESTORED_FILE)) await this.#takeWhole(RESTORED_FILE);
    return { shardId, position, files: this.#files };
  }

  /** @returns their positions, oldest first. */
  async #takeCheckpoints(names: readonly string[]): Promise<number[]> {
    const checkpoints: { position: number; name: string }[] = [];
    for (const name of names) {
      const position = parseCheckpointFileName(name);
      if (position !== undefined) checkpoints.push({ position, name });
    }
    checkpoints.sort((a, b) => a.position - b.position);
    const taken = checkpoints.slice(-CHECKPOINTS);
    for (const { name } of taken) await this.#takeWhole(name);
    return taken.map(({ position }) => position);
  }

  async #takeManifest(names: readonly string[]): Promise<Manifest | undefined> {
    const name = newestManifestName(names);
    if (name === undefined) return undefined;
    await this.#takeWhole(name);
    const manifest = await readManifest(this.#options.target, name);
    for (const file of manifest.files) {
      const settled = settledFileName(file);
      await this.#link(settled);
      await this.#take(settled, file.sizeBytes, true);
    }
    return manifest;
  }

  /** The segments that hold something of [from, position), or an empty one at `position`. */
  async #takeSegments(names: readonly string[], from: number, position: number): Promise<void> {
    // Only names are looked at, so the journal's id does not matter.
    const live = chainSegments(names, this.#options.directory, 0).live.filter(
      ({ basePosition }) => basePosition <= position,
    );
    const first = live.findLastIndex(({ basePosition }) => basePosition <= from);
    if (first < 0) throw new Moved(`no segment holds position ${from}`);
    for (let i = first; i < live.length; i += 1) {
      const { basePosition, epoch, fileName } = live[i] as LiveSegment;
      const end = Math.min(live[i + 1]?.basePosition ?? position, position);
      await this.#link(fileName);
      if (basePosition < position) await this.#take(fileName, end - basePosition, false);
      else if ((await this.#sizeOf(fileName)) >= SEGMENT_HEADER_BYTES) {
        await this.#take(fileName, SEGMENT_HEADER_BYTES, false);
      }
      const sidecar = sidecarFileName(basePosition, epoch);
      if (names.includes(sidecar)) await this.#takeWhole(sidecar);
    }
  }

  /** A file that is replaced, never changed. */
  async #takeWhole(name: string): Promise<void> {
    await this.#link(name);
    this.#files.push({ name, bytes: await this.#sizeOf(name), isFixed: false });
  }

  async #take(name: string, bytes: number, isFixed: boolean): Promise<void> {
    const size = await this.#sizeOf(name);
    if (size < bytes) {
      const path = join(this.#options.directory, name);
      throw new BackupError("BACKUP_FAILED", `file has ${size} bytes instead of ${bytes}: ${path}`);
    }
    this.#files.push({ name, bytes, isFixed });
  }

  async #sizeOf(name: string): Promise<number> {
    return (await stat(join(this.#options.target, name))).size;
  }

  async #link(name: string): Promise<void> {
    const { directory, target } = this.#options;
    try {
      await link(join(directory, name), join(target, name));
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") throw new Moved(message);
      throw new BackupError(
        "BACKUP_FAILED",
        `the data folder's file system gave no second name to a file (${message}); stop the broker to back it up`,
        { cause },
      );
    }
  }
}
