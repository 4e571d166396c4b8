import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A process that listens. */
export interface PortOwner {
  readonly pid: number;
  /** Its name, `nginx`, without arguments: those are nobody's business. */
  readonly name: string;
}

/** TCP_LISTEN in /proc/net/tcp. */
const LISTEN = "0A";

/**
 * Who listens on a port of this machine, as far as Linux tells this user; empty where it does not: processes of others are
 * theirs.
 */
export function portOwners(port: number): PortOwner[] {
  const sockets = new Set(listeningInodes(port).map((inode) => `socket:[${inode}]`));
  if (sockets.size === 0) return [];
  return numbersIn("/proc").flatMap((pid) => {
    const holds = numbersIn(`/proc/${pid}/fd`).some((fd) => sockets.has(linkOf(`/proc/${pid}/fd/${fd}`)));
    return holds ? [ownerOf(pid)] : [];
  });
}

function listeningInodes(port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) =>
    textOf(file)
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => local.endsWith(suffix) && state === LISTEN)
      .map((fields) => fields[9] ?? ""),
  );
}

function ownerOf(pid: number): PortOwner {
  return { pid, name: textOf(`/proc/${pid}/comm`).trim() };
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
