import type { BackgroundJob } from "@millrace/journal";
import { Piscina } from "piscina";

/** Slow file work (index and checkpoint files, zeroed segments, deletions), off every gateway and shard thread. */
export class BackgroundPool {
  readonly #piscina: Piscina = new Piscina({
    filename: new URL("../thread/background-worker.js", import.meta.url).href,
    minThreads: 0,
    maxThreads: 2,
    idleTimeout: 30_000,
    // None of the process's own: a loader or agent given to it by --import would run in each thread.
    execArgv: [],
  });

  run(job: BackgroundJob): Promise<void> {
    return this.#piscina.run(job) as Promise<void>;
  }

  /** Waits for what runs, ends the threads. */
  async close(): Promise<void> {
    await this.#piscina.close();
  }
}
