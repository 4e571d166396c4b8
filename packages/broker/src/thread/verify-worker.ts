import { RealStorage } from "@millrace/journal";
import { runVerifyJob, type VerifyJob, type VerifyResult } from "@millrace/journal/internal";
import { type JobError, jobErrorOf } from "./job-outcome.ts";

/** A job, and one shared word in which KiB that were read are counted. */
export interface VerifyTask {
  readonly job: VerifyJob;
  readonly progress: Int32Array;
}

/** Errors travel as plain data: a clone of an Error loses its code. */
export type VerifyOutcome = { readonly result: VerifyResult } | { readonly error: JobError };

const KIB = 1024;
const storage = new RealStorage();

/** One job of a doctor's pool. */
export default function run({ job, progress }: VerifyTask): VerifyOutcome {
  try {
    const result = runVerifyJob(
      storage,
      job,
      (bytes) => void Atomics.add(progress, 0, Math.ceil(bytes / KIB)),
    );
    return { result };
  } catch (error) {
    return { error: jobErrorOf(error) };
  }
}
