import { availableParallelism } from "node:os";
import type { VerifyJob, VerifyResult } from "@millrace/journal/internal";
import { Piscina } from "piscina";
import { errorOfJob } from "../thread/job-outcome.ts";
import { POOL_EXEC_ARGV } from "../thread/pool-exec-argv.ts";
import { threadFile } from "../thread/thread-file.ts";
import type { VerifyOutcome, VerifyTask } from "../thread/verify-worker.ts";

const KIB = 1024;

/** Reads files on all cores. */
export class VerifyPool {
  readonly #piscina: Piscina = new Piscina({
    filename: threadFile(new URL("../thread/verify-worker.js", import.meta.url)).href,
    minThreads: 0,
    maxThreads: availableParallelism(),
    execArgv: [...POOL_EXEC_ARGV],
  });
  readonly #progress: Int32Array = new Int32Array(new SharedArrayBuffer(4));

  /** Bytes that were read since the last `resetBytes`, roughly. */
  get bytes(): number {
    return (Atomics.load(this.#progress, 0) >>> 0) * KIB;
  }

  resetBytes(): void {
    Atomics.store(this.#progress, 0, 0);
  }

  /** @throws what the file system throws, with its code; MillraceError DATA_FORMAT_NEWER */
  async run(job: VerifyJob): Promise<VerifyResult> {
    const task: VerifyTask = { job, progress: this.#progress };
    const outcome = (await this.#piscina.run(task)) as VerifyOutcome;
    if ("result" in outcome) return outcome.result;
    throw errorOfJob(outcome.error);
  }

  async close(): Promise<void> {
    await this.#piscina.close({ force: true });
  }
}
