import { randomInt } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { BackupError } from "./backup-error.ts";
import type { ControlCommand } from "./control-server.ts";
import { type LineChannel, objectOfLine } from "./line-channel.ts";
import { snapshotNode } from "./node-snapshot.ts";

/** Folders of second names, in the data folder; there only while a backup is copied from them. */
export const SNAPSHOT_FOLDER: RegExp = /^snapshot-\d+$/;

export interface BackupCommandOptions {
  readonly dataDir: string;
  readonly shards: number;
  readonly isReady: () => boolean;
  /** Resolves with a durable position behind everything that the shard had taken. */
  readonly commit: (shardId: number) => Promise<number>;
  readonly logger: Logger;
  readonly silenceMsMax?: number;
}

/**
 * The command `backup` of the control channel. The broker makes a snapshot, which is second names only, and keeps it as
 * long as the connection lives; who asked copies it, in a process of its own.
 *
 *     <- {"progress":{"shards":1,"of":4}} ...
 *     <- {"result":{"folder":"…","shards":4}}
 *     -> {"copying":true} ...                           at least once a minute
 *     -> {"done":true}, or hangs up                     the snapshot is removed
 *     <- {"result":{"removed":true}}
 */
export function backupCommand(options: BackupCommandOptions): ControlCommand {
  let running = false;
  return async (channel) => {
    if (!options.isReady()) throw new BackupError("BACKUP_FAILED", "a shard of the broker is not available");
    if (running) throw new BackupError("BACKUP_RUNNING", "another backup of this broker is under way");
    running = true;
    const folder = join(options.dataDir, `snapshot-${randomInt(2 ** 32)}`);
    try {
      await serve(channel, folder, options);
    } finally {
      await rm(folder, { recursive: true, force: true });
      running = false;
    }
    channel.send({ result: { removed: true } });
  };
}

/** What backups of an earlier process have left. The caller holds the lock. */
export function removeSnapshots(dataDir: string): void {
  for (const name of readdirSync(dataDir)) {
    if (SNAPSHOT_FOLDER.test(name)) rmSync(join(dataDir, name), { recursive: true, force: true });
  }
}

async function serve(channel: LineChannel, folder: string, options: BackupCommandOptions): Promise<void> {
  const { dataDir, shards, commit, logger } = options;
  const startMs = SYSTEM_CLOCK.monotonicMs();
  let count = 0;
  const snapshot = await snapshotNode({
    dataDir,
    shards,
    folder,
    commit,
    onShard: () => {
      count += 1;
      channel.send({ progress: { shards: count, of: shards } });
    },
  });
  const files = snapshot.shards.reduce((sum, shard) => sum + shard.files.length, 0);
  const snapshotMs = Math.round(SYSTEM_CLOCK.monotonicMs() - startMs);
  logger.log("info", "backup-started", { folder, files, snapshotMs });
  channel.send({ result: { folder, shards } });
  for (;;) {
    const line = await channel.next(options.silenceMsMax ?? BROKER_LIMITS.backupSilenceMsMax);
    if (line === undefined) throw new BackupError("ABORTED", "the backup's command has gone");
    if (objectOfLine(line).done === true) break;
  }
  logger.log("info", "backup-done", { folder });
}
