import { type BackgroundJob, RealStorage, runBackgroundJob } from "@millrace/journal";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { buffersOf, type JobOutcome, jobErrorOf } from "./job-outcome.ts";

const storage = new RealStorage();

/** One job of the pool. @returns a JobOutcome, marked so that its buffers change hands instead of being copied */
export default function run(job: BackgroundJob): unknown {
  const outcome = outcomeOf(job);
  const marked = { [transferableSymbol]: buffersOf(outcome.result), [valueSymbol]: outcome };
  return move(marked as unknown as Parameters<typeof move>[0]);
}

function outcomeOf(job: BackgroundJob): JobOutcome {
  try {
    const result = runBackgroundJob(storage, job);
    return result === undefined ? {} : { result };
  } catch (error) {
    return { error: jobErrorOf(error) };
  }
}
