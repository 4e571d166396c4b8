import type { SubjectRun } from "../run/subject-run.ts";
import type { PingerCommands } from "./pinger-process.ts";

const EVERY_MS = 5;

/** How long an unrelated session waits for the answers to its pings, in the time that the load goes on. */
export async function pingBeside(run: SubjectRun, durationMs: number): Promise<Record<string, number>> {
  const { pinger } = run.subject;
  if (pinger === undefined) return {};
  const { children } = run.context;
  const process = await children.fork<PingerCommands>(new URL("./pinger-process.js", import.meta.url));
  try {
    const { endpoint } = run.running;
    const { error } = await process.call("open", { pinger, endpoint, sessions: 1, localAddresses: [] });
    if (error !== undefined) throw new Error(error);
    const { p50, p99, p999, max } = await process.call("ping", { everyMs: EVERY_MS, durationMs });
    return { pingP50Ms: p50, pingP99Ms: p99, pingP999Ms: p999, pingMaxMs: max };
  } finally {
    await children.end(process.pid);
  }
}
