import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder, with those above it that are not there. Node's own recursive mkdir never returns where the system says ENOENT
 * below a folder that exists, as it does in /proc (Node 20).
 * @param path absolute
 * @returns the topmost that was made; undefined: it was there
 * @throws what the file system throws; EEXIST or ENOTDIR where a file is in the way
 */
export function makeFolder(path: string): string | undefined {
  const missing = [path];
  for (let above = dirname(path); !existsSync(above); above = dirname(above)) missing.push(above);
  let topmost: string | undefined;
  for (const folder of missing.reverse()) if (makeOne(folder)) topmost ??= folder;
  return topmost;
}

/** False: it is there already. */
function makeOne(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST" && existsSync(path);
    if (!isThere || !statSync(path).isDirectory()) throw error;
    return false;
  }
}
