import { readdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcesses } from "@millrace/load/internal";

/** How the page cache was emptied; "not": what is read next may come from memory. */
export type CacheEviction = "drop_caches" | "fadvise" | "not";

/** Bytes that a user may still write to the file system of that folder. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Waits until the file system has written everything back, so that no sample pays for the one before. */
export async function flushFileSystem(run: { children: ChildProcesses; folder: string }): Promise<void> {
  await runProgram(run.children, "sync", ["-f", run.folder]);
}

/**
 * Makes the next read of everything under the folder come from the disk: through the kernel's own switch for root,
 * else file by file with posix_fadvise(DONTNEED), which GNU dd has an option for. What is dirty stays, so all is
 * written back first. The host of a virtual machine may still hold what its guest has dropped.
 */
export async function dropPageCache(run: {
  children: ChildProcesses;
  folder: string;
}): Promise<CacheEviction> {
  await flushFileSystem(run);
  try {
    writeFileSync("/proc/sys/vm/drop_caches", "3");
    return "drop_caches";
  } catch {
    // Not root, or a container that must not.
  }
  return await evictFiles(run);
}

/** The same with posix_fadvise alone, which leaves the rest of the page cache in peace. */
export async function evictFiles(run: { children: ChildProcesses; folder: string }): Promise<CacheEviction> {
  await flushFileSystem(run);
  for (const path of filesUnder(run.folder)) {
    const code = await runProgram(run.children, "dd", [
      `if=${path}`,
      "iflag=nocache",
      "count=0",
      "status=none",
    ]);
    if (code !== 0) return "not";
  }
  return "fadvise";
}

/** Paths of all regular files below a folder; one that vanishes meanwhile is left out. */
export function filesUnder(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

async function runProgram(
  children: ChildProcesses,
  command: string,
  args: string[],
): Promise<number | undefined> {
  const child = children.spawn(command, args, process.env);
  return await new Promise((resolve) => {
    child.once("error", () => resolve(undefined));
    child.once("exit", (code) => resolve(code ?? undefined));
  });
}
