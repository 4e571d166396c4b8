import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { backupCommand } from "../backup/backup-command.ts";
import { type ControlCommand, ControlServer } from "../backup/control-server.ts";
import type { ClusterMap } from "../cluster/cluster-map.ts";
import type { Logger } from "../logger.ts";
import type { DataFolder } from "../node/data-folder.ts";

/** What the commands of the control channel may ask of the supervisor. */
export interface ControlledSupervisor {
  readonly folder: DataFolder;
  readonly logger: Logger;
  readonly isReady: () => boolean;
  /** Resolves with a durable position behind everything that the shard had taken; fails while it is on its way. */
  readonly commit: (shardId: number) => Promise<number>;
  readonly holdMoves: (isHeld: boolean) => void;
  readonly restart: () => Promise<void>;
  /** Resolves with the node that has the shard then. */
  readonly move: (shardId: number, to: number) => Promise<number>;
  readonly map: () => ClusterMap | undefined;
}

const COMMIT_TRIES = 60;
const COMMIT_AGAIN_MS = 500;
/** Says that a long command is still at it. */
const ALIVE_MS = 1_000;

/**
 * The control channel of a cluster, in its data folder: `backup` as of a broker of one process, and
 *
 *     -> {"version":1,"command":"restart"}                        <- {"progress":{}} ... {"result":{}}
 *     -> {"version":1,"command":"move","shardId":2,"nodeId":1}    <- {"progress":{}} ... {"result":{"nodeId":1}}
 *     -> {"version":1,"command":"cluster"}                        <- {"result":{"pid":…,"map":…}}
 */
export function supervisorControl(supervisor: ControlledSupervisor): (socket: Socket) => void {
  const { folder, logger, isReady } = supervisor;
  const backup = backupCommand({
    dataDir: folder.path,
    shards: folder.shards,
    isReady,
    commit: (shardId) => patiently(() => supervisor.commit(shardId)),
    logger,
  });
  const commands = new Map<string, ControlCommand>([
    ["backup", (channel, request) => withoutMoves(supervisor, () => backup(channel, request))],
    ["restart", (channel) => answered(channel, () => supervisor.restart().then(() => ({})))],
    [
      "move",
      (channel, { shardId, nodeId }) =>
        answered(channel, async () => ({ nodeId: await supervisor.move(Number(shardId), Number(nodeId)) })),
    ],
    ["cluster", (channel) => answered(channel, async () => ({ pid: process.pid, map: supervisor.map() }))],
  ]);
  const server = new ControlServer({ commands, logger });
  return (socket) => server.accept(socket);
}

async function withoutMoves<T>(supervisor: ControlledSupervisor, work: () => Promise<T>): Promise<T> {
  supervisor.holdMoves(true);
  try {
    return await work();
  } finally {
    supervisor.holdMoves(false);
  }
}

async function answered(
  channel: { send(value: object): boolean },
  work: () => Promise<object>,
): Promise<void> {
  const alive = setInterval(() => channel.send({ progress: {} }), ALIVE_MS);
  try {
    channel.send({ result: await work() });
  } finally {
    clearInterval(alive);
  }
}

/** A shard whose node has died is open elsewhere in a moment. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === COMMIT_TRIES) throw error;
      await sleep(COMMIT_AGAIN_MS);
    }
  }
}
