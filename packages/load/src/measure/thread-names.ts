/**
 * Preloaded into a measured node process (`--import`), where it runs once in every JavaScript thread and
 * writes down which thread of the operating system that is. Node 20 names none of its threads, and CPU
 * seconds without a name say nothing about what to improve.
 */
import { appendFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { isMainThread, threadId } from "node:worker_threads";

const file = process.env.MILLRACE_BENCH_THREADS;
if (file !== undefined && process.platform === "linux") {
  const tid = Number(basename(readlinkSync("/proc/thread-self")));
  // In a worker argv[1] is the worker's own entry file.
  const entry = basename(process.argv[1] ?? "", ".js");
  const name = isMainThread ? "main" : `${entry}#${threadId}`;
  appendFileSync(file, `${JSON.stringify({ pid: process.pid, tid, name })}\n`);
}
