import type { Socket } from "node:net";
import { FolderLock } from "../node/folder-lock.ts";
import { readNodeFiles } from "../supervisor/node-file.ts";
import { isRunning } from "../supervisor/process-identity.ts";

/** The processes that a data folder belongs to at the moment. */
export interface FolderUse {
  /** Who holds the lock: a broker of one process, the supervisor of a cluster, or a tool. */
  readonly holder: FolderHolder | undefined;
  /** Processes of the nodes of a cluster, in the order of their numbers, as far as they run on this machine. */
  readonly nodePids: readonly number[];
}

/** What the holder of the lock says of itself; undefined in all = it does not answer. */
export interface FolderHolder {
  readonly pid: number | undefined;
  readonly version: string | undefined;
}

const ANSWER_TIMEOUT_MS = 2_000;
/** Longer than any answer. */
const ANSWER_LENGTH_MAX = 1_024;

/**
 * Who runs on the folder. Changes nothing and takes no lock.
 * @throws MillraceError DATA_DIR_UNUSABLE
 */
export async function folderUse(dataDir: string): Promise<FolderUse> {
  const socket = await FolderLock.connectToHolder(dataDir);
  const nodes = readNodeFiles(dataDir).filter(isRunning);
  const nodePids = nodes.sort((a, b) => a.nodeId - b.nodeId).map(({ pid }) => pid);
  if (socket === undefined) return { holder: undefined, nodePids };
  try {
    const answer = await firstLine(socket);
    const pid = /\bpid=(\d+)/.exec(answer)?.[1];
    const holder = {
      pid: pid === undefined ? undefined : Number(pid),
      version: /\bversion=(\S+)/.exec(answer)?.[1],
    };
    return { holder, nodePids };
  } finally {
    socket.destroy();
  }
}

/** What came until the line ended, or nothing more did. */
function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    socket.setEncoding("utf8");
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => resolve(answer));
    socket.on("data", (chunk: string) => {
      answer += chunk;
      if (answer.includes("\n") || answer.length > ANSWER_LENGTH_MAX) resolve(answer);
    });
    socket.on("error", () => resolve(answer));
    socket.on("close", () => resolve(answer));
  });
}
