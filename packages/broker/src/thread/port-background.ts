import type { Background, BackgroundJob, JobDone } from "@millrace/journal";
import { buffersOf, errorOfJob, type JobOutcome } from "./job-outcome.ts";

/**
 * Sends the journal's slow jobs to the node's pool by way of the main thread; the answers come back as control
 * messages. Shard thread only.
 */
export class PortBackground implements Background {
  readonly #post: (jobId: number, job: BackgroundJob, transfer: ArrayBuffer[]) => void;
  readonly #waiting: Map<number, JobDone> = new Map();
  #nextId = 1;

  constructor(post: (jobId: number, job: BackgroundJob, transfer: ArrayBuffer[]) => void) {
    this.#post = post;
  }

  submit(job: BackgroundJob, done: JobDone): void {
    const jobId = this.#nextId;
    this.#nextId += 1;
    this.#waiting.set(jobId, done);
    this.#post(jobId, job, buffersOf(job));
  }

  onDone(jobId: number, { error, result }: JobOutcome): void {
    const done = this.#waiting.get(jobId);
    this.#waiting.delete(jobId);
    done?.(error === undefined ? undefined : errorOfJob(error), result);
  }
}
