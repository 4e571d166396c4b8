import {
  type Background,
  type BackgroundJob,
  completeBackgroundJob,
  type JobDone,
  type Storage,
} from "@millrace/journal/internal";

/** The pool of a node in one thread: jobs run at once, or one by one when they are told to. */
export class SteppedBackground implements Background {
  readonly #storage: Storage;
  readonly #stepped: boolean;
  readonly #jobs: { job: BackgroundJob; done: JobDone }[] = [];

  constructor(storage: Storage, stepped: boolean) {
    this.#storage = storage;
    this.#stepped = stepped;
  }

  submit(job: BackgroundJob, done: JobDone): void {
    this.#jobs.push({ job, done });
    if (!this.#stepped) this.step();
  }

  /** Runs the oldest job. @returns false when there is none */
  step(): boolean {
    const next = this.#jobs.shift();
    if (next === undefined) return false;
    completeBackgroundJob(this.#storage, next.job, next.done);
    return true;
  }
}
