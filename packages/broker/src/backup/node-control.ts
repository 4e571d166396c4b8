import type { Socket } from "node:net";
import type { Logger } from "../logger.ts";
import type { DataFolder } from "../node/data-folder.ts";
import { backupCommand } from "./backup-command.ts";
import { ControlServer } from "./control-server.ts";

/** What the commands of the control channel may ask of their node. */
export interface ControlledNode {
  readonly folder: DataFolder;
  readonly logger: Logger;
  readonly isReady: () => boolean;
  /** Resolves with a durable position behind everything that the shard had taken. */
  readonly commit: (shardId: number) => Promise<number>;
}

/** The control channel of a node: takes connections from its lock. */
export function nodeControl({ folder, logger, isReady, commit }: ControlledNode): (socket: Socket) => void {
  const { path: dataDir, shards } = folder;
  const backup = backupCommand({ dataDir, shards, isReady, commit, logger });
  const server = new ControlServer({ commands: new Map([["backup", backup]]), logger });
  return (socket) => server.accept(socket);
}
