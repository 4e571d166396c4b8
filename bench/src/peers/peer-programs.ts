import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Where bench/peers/setup.sh puts what it installs itself. */
export function peersFolder(): string {
  const { MILLRACE_PEERS_DIR, XDG_CACHE_HOME } = process.env;
  return MILLRACE_PEERS_DIR || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "millrace-peers");
}

/**
 * The path of an installed program, or undefined. The folder of setup.sh comes first, then PATH, then the places
 * where Debian and Go put programs that are not in everyone's PATH.
 */
export function findProgram(name: string): string | undefined {
  const folders = [
    join(peersFolder(), "bin"),
    ...(process.env.PATH ?? "").split(delimiter),
    join(homedir(), "go", "bin"),
    "/usr/local/sbin",
    "/usr/sbin",
  ];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** For Subject.available: undefined when all of them are there, otherwise a line that says what is missing. */
export function missingPrograms(...names: string[]): string | undefined {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return undefined;
  return `${missing.join(" and ")} not found: bench/peers/setup.sh installs it`;
}

/** @throws Error when it is not installed; ask `missingPrograms` before */
export function programPath(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`not installed: program=${name}`);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
