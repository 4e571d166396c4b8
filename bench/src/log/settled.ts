import { join } from "node:path";
import { delay, monotonicMs } from "@millrace/load/internal";
import { filesUnder } from "../harness/file-system.ts";

const POLL_MS = 250;
/** So long nothing may change. */
const QUIET_MS = 3_000;

/** What a broker's data folder holds, as seen from outside. */
export interface FolderState {
  readonly settledFiles: number;
  readonly logFiles: number;
}

export function folderState(brokerFolder: string): FolderState {
  const paths = filesUnder(join(brokerFolder, "data"));
  return {
    settledFiles: paths.filter((path) => path.endsWith(".settled")).length,
    logFiles: paths.filter((path) => path.endsWith(".log")).length,
  };
}

/**
 * Waits until the broker seems to have settled what it will: no settled file and no segment has come or gone for
 * three seconds. Resolves with `quiet: false` after the timeout; a row's figures do not depend on it, only what
 * they say does.
 */
export async function waitUntilSettled(
  brokerFolder: string,
  timeoutMs: number,
): Promise<FolderState & { quiet: boolean }> {
  const deadlineMs = monotonicMs() + timeoutMs;
  let state = folderState(brokerFolder);
  let sinceMs = monotonicMs();
  while (monotonicMs() - sinceMs < QUIET_MS) {
    if (monotonicMs() > deadlineMs) return { ...state, quiet: false };
    await delay(POLL_MS);
    const now = folderState(brokerFolder);
    if (now.settledFiles === state.settledFiles && now.logFiles === state.logFiles) continue;
    state = now;
    sinceMs = monotonicMs();
  }
  return { ...state, quiet: true };
}

export function formatFolder({ settledFiles, logFiles }: FolderState): string {
  return `${settledFiles} settled files and ${logFiles} segments`;
}
