import { readFileSync } from "node:fs";
import type { Check } from "./check.ts";

/** Open files of a shard: segments, settled files that are read, sidecars, and what is being made. */
const FILES_PER_SHARD = 32;
/** Room for so many connections is enough for most; who has more of them knows. */
const CONNECTIONS_FEW = 4_096;
/** Threads, standard streams, sockets between threads and processes. */
const FILES_BESIDES = 200;

/**
 * How many files a process may have open: that of `pid`, a running broker, else of this one, whose limit a broker from the
 * same shell gets. Node raises the soft limit to the hard one when it starts. Undefined where Linux does not say.
 */
export function openFileLimit(pid: number | undefined): number | undefined {
  try {
    const limits = readFileSync(`/proc/${pid ?? "self"}/limits`, "utf8");
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (soft === undefined) return undefined;
    return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return undefined;
  }
}

/** Each connection takes a file, and so does the journal. */
export function openFilesCheck(limit: number | undefined, shards: number, sessionsMax: number): Check {
  const name = "open files";
  const own = FILES_BESIDES + shards * FILES_PER_SHARD;
  const advice =
    'raise it: "ulimit -n 65536" in the shell, LimitNOFILE=65536 in a systemd unit, --ulimit nofile=65536 for docker run';
  if (limit === undefined)
    return { name, state: "ok", sentence: "this system does not say how many there may be" };
  const sentence = `${limit === Number.POSITIVE_INFINITY ? "any number" : limit} a process`;
  const connections = limit - own;
  if (connections >= sessionsMax) return { name, state: "ok", sentence };
  if (connections > 0) {
    const room = `${sentence}: room for some ${connections} connections, of ${sessionsMax} that a node takes`;
    if (connections >= CONNECTIONS_FEW) return { name, state: "ok", sentence: room };
    return { name, state: "warning", sentence: room, advice };
  }
  return { name, state: "failed", sentence: `${sentence}: too few for ${shards} shards alone`, advice };
}
