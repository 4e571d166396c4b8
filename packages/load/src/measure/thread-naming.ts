import { readFileSync } from "node:fs";

/** To be preloaded (`--import`) into a node process whose threads are to be known by name. */
export const THREAD_NAMES_MODULE: string = new URL("./thread-names.js", import.meta.url).href;

/** The environment variable that tells the preloaded module which file to write to. */
export const THREAD_NAMES_VARIABLE = "MILLRACE_BENCH_THREADS";

/** What the process of that id has written: thread of the operating system -> "main", or the worker's file and number. */
export function readThreadNames(file: string, pid: number): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    const thread = JSON.parse(line) as { pid: number; tid: number; name: string };
    if (thread.pid === pid) names.set(thread.tid, thread.name);
  }
  return names;
}
