import type { Background, BackgroundJob } from "@millrace/journal";

/**
 * Sends the journal's slow jobs to the node's pool by way of the main thread; the answers come back as control
 * messages. Shard thread only.
 */
export class PortBackground implements Background {
  readonly #post: (jobId: number, job: BackgroundJob, transfer: ArrayBuffer[]) => void;
  readonly #waiting: Map<number, (error?: Error) => void> = new Map();
  #nextId = 1;

  constructor(post: (jobId: number, job: BackgroundJob, transfer: ArrayBuffer[]) => void) {
    this.#post = post;
  }

  submit(job: BackgroundJob, done: (error?: Error) => void): void {
    const jobId = this.#nextId;
    this.#nextId += 1;
    this.#waiting.set(jobId, done);
    // The journal gives its chunks away: move them instead of copying.
    const transfer = job.kind === "write-file" ? job.chunks.map((chunk) => chunk.buffer as ArrayBuffer) : [];
    this.#post(jobId, job, transfer);
  }

  onDone(jobId: number, error: { code?: string; message: string } | undefined): void {
    const done = this.#waiting.get(jobId);
    this.#waiting.delete(jobId);
    if (error === undefined) done?.();
    else
      done?.(Object.assign(new Error(error.message), error.code === undefined ? {} : { code: error.code }));
  }
}
