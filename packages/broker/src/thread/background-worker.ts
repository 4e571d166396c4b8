import { type BackgroundJob, RealStorage, runBackgroundJob } from "@millrace/journal";

const storage = new RealStorage();

/** One job of the pool; an error rejects the run. */
export default function run(job: BackgroundJob): void {
  runBackgroundJob(storage, job);
}
