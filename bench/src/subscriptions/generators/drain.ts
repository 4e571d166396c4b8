import { delay, monotonicMs } from "@millrace/load/internal";

const POLL_MS = 10;
/** A consumer that gets nothing for so long while records are missing will not get them any more. */
const STALL_MS = 20_000;

/** Waits for what is still under way. */
export class Drain {
  #lastMs = 0;

  progressed(): void {
    this.#lastMs = monotonicMs();
  }

  /** @throws Error when there is no progress any more */
  async until(isDone: () => boolean): Promise<void> {
    this.#lastMs = monotonicMs();
    while (!isDone()) {
      if (monotonicMs() - this.#lastMs > STALL_MS) throw new Error("records do not arrive any more");
      await delay(POLL_MS);
    }
  }
}
