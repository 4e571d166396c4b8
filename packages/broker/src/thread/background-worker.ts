import { type BackgroundJob, RealStorage, runBackgroundJob } from "@millrace/journal";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { buffersOf, type JobOutcome, jobErrorOf } from "./job-outcome.ts";
import { BEHIND_LIVE_TRAFFIC, lowerThreadPriority } from "./thread-priority.ts";

const storage = new RealStorage();
let isLow = false;

/** One job of the pool. @returns a JobOutcome, marked so that its buffers change hands instead of being copied */
export default function run(job: BackgroundJob): unknown {
  const outcome = outcomeOf(job);
  const marked = { [transferableSymbol]: buffersOf(outcome.result), [valueSymbol]: outcome };
  return move(marked as unknown as Parameters<typeof move>[0]);
}

function outcomeOf(job: BackgroundJob): JobOutcome {
  // Long jobs have threads of their own, which stay low.
  if (job.kind === "settle" && !isLow) {
    lowerThreadPriority(BEHIND_LIVE_TRAFFIC);
    isLow = true;
  }
  try {
    const result = runBackgroundJob(storage, job);
    return result === undefined ? {} : { result };
  } catch (error) {
    return { error: jobErrorOf(error) };
  }
}
