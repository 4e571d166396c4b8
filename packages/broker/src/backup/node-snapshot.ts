import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { shardDirectory, shardFolderName } from "../node/data-folder.ts";
import { type ShardSnapshot, snapshotShard } from "./shard-snapshot.ts";

/** In the folder of a snapshot: a NodeSnapshot as JSON. */
export const SNAPSHOT_FILE = "snapshot.json";

/** All shards of a data folder. The catalog's shard is of a later moment than the others, so it knows their topics. */
export interface NodeSnapshot {
  /** The folder of a shard within the snapshot is named as in the data folder. */
  readonly shards: readonly ShardSnapshot[];
}

export interface NodeSnapshotOptions {
  readonly dataDir: string;
  readonly shards: number;
  /** Made here, below dataDir. */
  readonly folder: string;
  readonly commit: (shardId: number) => Promise<number>;
  readonly onShard: (shardId: number) => void;
}

/**
 * Gives second names to everything that makes up a data folder. A record is not part of it without its topic: the
 * catalog, in shard 0, comes last.
 */
export async function snapshotNode(options: NodeSnapshotOptions): Promise<NodeSnapshot> {
  const { dataDir, folder, commit, onShard } = options;
  await mkdir(folder, { mode: 0o700 });
  try {
    const shards: ShardSnapshot[] = [];
    for (let shardId = options.shards - 1; shardId >= 0; shardId -= 1) {
      shards.push(
        await snapshotShard({
          shardId,
          directory: shardDirectory(dataDir, shardId),
          target: join(folder, shardFolderName(shardId)),
          commit: () => commit(shardId),
        }),
      );
      onShard(shardId);
    }
    const snapshot: NodeSnapshot = { shards };
    await writeFile(join(folder, SNAPSHOT_FILE), JSON.stringify(snapshot));
    return snapshot;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
