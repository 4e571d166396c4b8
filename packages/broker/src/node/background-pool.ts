import { availableParallelism } from "node:os";
import type { BackgroundJob } from "@millrace/journal";
import { Piscina } from "piscina";
import { type JobOutcome, jobErrorOf } from "../thread/job-outcome.ts";
import { POOL_EXEC_ARGV } from "../thread/pool-exec-argv.ts";
import { threadFile } from "../thread/thread-file.ts";

/** Jobs that take milliseconds … */
const QUICK_THREADS = 2;
/** … and those that may take minutes have threads of their own, so that no checkpoint waits behind them. */
const LONG_THREADS_PER_CORE = 1 / 4;
/** Usually it is 48 MiB, which jobs would fill with garbage little by little, and with the buffers that hang on it. */
const YOUNG_GENERATION_MIB = 4;

/** Slow file work (index and checkpoint files, zeroed segments, deletions, settling), off every gateway and shard thread. */
export class BackgroundPool {
  readonly #quick: Piscina = piscina(QUICK_THREADS);
  readonly #long: Piscina = piscina(Math.max(1, Math.floor(availableParallelism() * LONG_THREADS_PER_CORE)));

  /** Never rejects: errors are outcomes too. */
  async run(job: BackgroundJob): Promise<JobOutcome> {
    const pool = job.kind === "settle" || job.kind === "plan-retention" ? this.#long : this.#quick;
    try {
      return (await pool.run(job)) as JobOutcome;
    } catch (error) {
      return { error: jobErrorOf(error) };
    }
  }

  /** Waits for what runs, ends the threads. */
  async close(): Promise<void> {
    await Promise.all([this.#quick.close(), this.#long.close()]);
  }
}

function piscina(maxThreads: number): Piscina {
  return new Piscina({
    filename: threadFile(new URL("../thread/background-worker.js", import.meta.url)).href,
    minThreads: 0,
    maxThreads,
    idleTimeout: 30_000,
    execArgv: [...POOL_EXEC_ARGV],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
  });
}
