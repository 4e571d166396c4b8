import { closeSync, existsSync, fsyncSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Present in a shard's folder from the restore until the first start has raised the log epochs: what somebody has seen
 * before may be gone.
 */
export const RESTORED_FILE = "restored";

export function isMarkedRestored(directory: string): boolean {
  return existsSync(join(directory, RESTORED_FILE));
}

/** Once the new log epochs are durable. Durable itself: else they would be raised again, which is harmless. */
export function clearRestoredMark(directory: string): void {
  unlinkSync(join(directory, RESTORED_FILE));
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
