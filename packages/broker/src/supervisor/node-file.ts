import { readdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";

/** Beside the sockets in the data folder: who runs as which node, so that one that does not answer can be ended. */
export interface NodeFile extends ProcessIdentity {
  readonly nodeId: number;
  /** The port that it shares with the others. */
  readonly port: number;
  /** Tells with which settings it was started. */
  readonly options: string;
  /** Why it could not start; it ended then. */
  readonly failure?: { readonly code: string; readonly message: string };
}

const NAME = /^node-(\d{1,3})\.json$/;

/**
 * Leaves the file of a node as a whole: whoever reads it sees the old one or the new one. It names its folder: in a copy of
 * that it would have another cluster's processes ended.
 */
export function writeNodeFile(dataDir: string, file: NodeFile): void {
  const path = pathOf(dataDir, file.nodeId);
  const temporary = `${path}.${file.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify({ ...file, folder: identityOfFolder(dataDir) })}\n`, {
    mode: 0o600,
  });
  renameSync(temporary, path);
}

/**
 * The same, for a process that has not become this node yet, or did not: the file of another one that runs is left as it is.
 */
export function claimNodeFile(dataDir: string, file: NodeFile): void {
  const there = readNodeFile(dataDir, file.nodeId);
  if (there === undefined || there.pid === file.pid || !isRunning(there)) writeNodeFile(dataDir, file);
}

/** Undefined when there is none, nothing of use in it, or it came with a copy of another folder. */
export function readNodeFile(dataDir: string, nodeId: number): NodeFile | undefined {
  let file: unknown;
  try {
    file = JSON.parse(readFileSync(pathOf(dataDir, nodeId), "utf8"));
  } catch {
    return undefined;
  }
  const { pid, startTime, folder } = (file ?? {}) as Partial<NodeFile> & { readonly folder?: unknown };
  if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || typeof startTime !== "string") return undefined;
  return folder === identityOfFolder(dataDir) ? (file as NodeFile) : undefined;
}

/** All that are there and of use, of living nodes and of dead ones. */
export function readNodeFiles(dataDir: string): NodeFile[] {
  return namedNodes(dataDir).flatMap((nodeId) => readNodeFile(dataDir, nodeId) ?? []);
}

/** The nodes of which there is a file, of use or not. */
export function namedNodes(dataDir: string): number[] {
  return readdirSync(dataDir).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

/** When its process has gone. */
export function removeNodeFile(dataDir: string, nodeId: number): void {
  try {
    unlinkSync(pathOf(dataDir, nodeId));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** No other folder has the same while this one is there. */
function identityOfFolder(dataDir: string): string {
  const { dev, ino } = statSync(dataDir, { bigint: true });
  return `${dev}:${ino}`;
}

function pathOf(dataDir: string, nodeId: number): string {
  return join(dataDir, `node-${nodeId}.json`);
}
