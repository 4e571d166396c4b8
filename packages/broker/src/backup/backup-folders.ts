import { open, readdir, realpath, rm } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { BackupError } from "./backup-error.ts";

/** The lock of whoever fills the folder. */
const LOCK = /^lock-\d+\.sock(\.tmp)?$/;

/**
 * Refuses a folder in which something is already, or that is inside `other` or around it.
 * @returns its path, absolute; it need not exist.
 * @throws BackupError FOLDER_NOT_USABLE
 */
export async function requireFreshFolder(path: string, other: string): Promise<string> {
  const fresh = resolve(path);
  const [a, b] = await Promise.all([realPath(fresh), realPath(resolve(other))]);
  if (isWithin(a, b) || isWithin(b, a)) {
    throw new BackupError("FOLDER_NOT_USABLE", `one folder is inside the other: ${path} and ${other}`);
  }
  let names: string[];
  try {
    names = await readdir(fresh);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return fresh;
    throw new BackupError("FOLDER_NOT_USABLE", message, { cause });
  }
  if (names.some((name) => !LOCK.test(name))) {
    throw new BackupError("FOLDER_NOT_USABLE", `the folder is not empty: ${path}`);
  }
  return fresh;
}

/** Makes names durable. */
export async function syncFolder(path: string): Promise<void> {
  // Windows has no handle to sync a folder by, and makes names durable with the file itself.
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A new file with this text, durable but for its name. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Takes back what was written to a folder that was fresh; the folder itself too when it was made for that. */
export async function emptyFolder(folder: string, wasMade: boolean): Promise<void> {
  if (wasMade) await rm(folder, { recursive: true, force: true });
  else {
    for (const name of await readdir(folder)) {
      if (!LOCK.test(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** With links followed as far as the path exists. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(await realPath(parent), path.slice(parent.length));
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
