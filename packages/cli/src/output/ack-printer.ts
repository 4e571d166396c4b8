import type { PublishResult } from "@millrace/client";
import type { LineWriter } from "./line-writer.ts";

const IN_FLIGHT_MAX = 10_000;

/**
 * Prints one line per acknowledged record, in the order in which the records were given, whatever order their
 * acknowledgements take. At most 10,000 wait at a time.
 */
export class AckPrinter {
  readonly #writer: LineWriter;
  readonly #format: (result: PublishResult) => string;
  #tail: Promise<void> = Promise.resolve();
  #inFlight = 0;
  #failure: unknown;
  #failed = false;

  constructor(writer: LineWriter, format: (result: PublishResult) => string) {
    this.#writer = writer;
    this.#format = format;
  }

  /** True once a record was refused; no more should be sent. */
  get failed(): boolean {
    return this.#failed;
  }

  get full(): boolean {
    return this.#inFlight >= IN_FLIGHT_MAX;
  }

  add(ack: Promise<PublishResult>): void {
    this.#inFlight++;
    // Its turn in `tail` may come later than its rejection, which must not count as unhandled until then.
    ack.catch(() => {});
    this.#tail = this.#tail.then(async () => {
      try {
        const result = await ack;
        if (!this.#failed) this.#writer.push(this.#format(result));
      } catch (error) {
        if (!this.#failed) this.#failure = error;
        this.#failed = true;
      } finally {
        this.#inFlight--;
      }
      if (this.#inFlight === 0 || this.#writer.full) await this.#flush();
    });
  }

  /** Waits for all that was added. Throws what the first refused record was refused with. */
  async settled(): Promise<void> {
    await this.#tail;
    if (this.#failed) throw this.#failure;
  }

  async #flush(): Promise<void> {
    try {
      await this.#writer.flush();
    } catch (error) {
      if (!this.#failed) this.#failure = error;
      this.#failed = true;
    }
  }
}
