import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "@millrace/protocol";
import { NODE_SOCKET_NAME, nodeSocketName } from "../cluster/control-messages.ts";
import { isAnswered } from "../node/folder-lock.ts";
import type { SocketFolder } from "../node/socket-folder.ts";
import { NodeClient } from "./node-client.ts";
import { type NodeFile, namedNodes, readNodeFile, removeNodeFile } from "./node-file.ts";
import { isRunning } from "./process-identity.ts";
import { SUPERVISOR_LIMITS } from "./supervisor-limits.ts";

const ANSWER_MS_MAX = 2_000;

/**
 * The nodes that an earlier supervisor has left; the files of those that have gone since are removed.
 * @throws MillraceError DATA_DIR_IN_USE when one answers that cannot be ended from here
 */
export async function livingNodes(dataDir: string, sockets: SocketFolder): Promise<NodeFile[]> {
  const living: NodeFile[] = [];
  for (const nodeId of namedNodes(dataDir)) {
    const file = readNodeFile(dataDir, nodeId);
    if (file !== undefined && (await isLiving(file, sockets))) living.push(file);
    else removeNodeFile(dataDir, nodeId);
  }
  for (const name of readdirSync(dataDir)) {
    const nodeId = Number(NODE_SOCKET_NAME.exec(name)?.[1] ?? -1);
    if (nodeId < 0 || living.some((file) => file.nodeId === nodeId)) continue;
    if (!(await isAnswered(sockets.at(name)))) continue;
    // Its process may be in another container, where no signal of ours arrives.
    const pid = await pidAt(sockets.at(name));
    throw new MillraceError(
      "DATA_DIR_IN_USE",
      `node ${nodeId} of a cluster runs on the data folder, as a process that is not to be found here: folder=${dataDir} pid=${pid ?? "unknown"}`,
      { details: { dataDir, nodeId, pid } },
    );
  }
  return living;
}

async function isLiving(file: NodeFile, sockets: SocketFolder): Promise<boolean> {
  if (!isRunning(file)) return false;
  // Where the system does not say when a process was started it may be any that has the pid by now.
  return file.startTime !== "" || (await isAnswered(sockets.at(nodeSocketName(file.nodeId))));
}

/** What the node behind the socket says of itself, in the terms of its own container; undefined when it says nothing. */
async function pidAt(path: string): Promise<number | undefined> {
  let client: NodeClient | undefined;
  try {
    client = await NodeClient.connect(path, SUPERVISOR_LIMITS.lineBytesMax, {
      onLine() {},
      onEvent() {},
      onClose() {},
    });
    const late = sleep(ANSWER_MS_MAX, undefined, { ref: false });
    const status = await Promise.race([client.request("status", {}), late]);
    const { pid } = (status?.node ?? {}) as { readonly pid?: unknown };
    return typeof pid === "number" ? pid : undefined;
  } catch {
    return undefined;
  } finally {
    client?.close();
  }
}
