import type { Storage } from "../storage/storage.ts";
import type { RepairStep } from "./finding.ts";
import { runRepairStep } from "./run-repair.ts";
import { type SegmentJob, type SegmentResult, verifySegment } from "./verify-segment.ts";
import { type SettledJob, type SettledResult, verifySettled } from "./verify-settled.ts";

/** Work of a doctor on one file. Plain data, as the results are: they travel between threads. */
export type VerifyJob =
  | SegmentJob
  | SettledJob
  | { readonly kind: "repair"; readonly step: RepairStep; readonly asidePath: string };

/** What a job answers; a repair answers nothing. */
export type VerifyResult = SegmentResult | SettledResult | undefined;

/**
 * Runs a job to its end. Any thread.
 * @param onBytes told of bytes that were read, now and then.
 * @throws what the storage throws; MillraceError DATA_FORMAT_NEWER
 */
export function runVerifyJob(
  storage: Storage,
  job: VerifyJob,
  onBytes: (bytes: number) => void,
): VerifyResult {
  switch (job.kind) {
    case "segment":
      return verifySegment(storage, job, onBytes);
    case "settled":
      return verifySettled(storage, job, onBytes);
    case "repair":
      runRepairStep(storage, job.step, { path: job.asidePath });
      return undefined;
  }
}
