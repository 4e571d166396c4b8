import { monotonicMs } from "../../harness/system-clock.ts";
import type { TransferResult, TransferSpec } from "./transfer-spec.ts";

/** The clock is asked once in so many bytes, and at least once in LOOK_RECORDS_MAX records. */
const LOOK_BYTES = 1 << 20;
const LOOK_RECORDS_MAX = 4096;

/** The consumer's clock: lets the warm-up pass, then counts records from the first to the last of the window. */
export class WindowMeter {
  /** Set once the window is over. */
  result: TransferResult | undefined;
  #count = 0;
  #nextLook: number;
  readonly #step: number;
  readonly #spec: TransferSpec;
  #startMs = -1;
  #fromMs = -1;
  #fromCount = 0;

  constructor(spec: TransferSpec) {
    this.#spec = spec;
    this.#step = Math.min(LOOK_RECORDS_MAX, Math.max(16, Math.floor(LOOK_BYTES / spec.recordBytes)));
    this.#nextLook = 1;
  }

  /** Records so far, warm-up and drain included. */
  get count(): number {
    return this.#count;
  }

  /** @returns true when this ends the window */
  received(records: number): boolean {
    this.#count += records;
    return this.#count >= this.#nextLook && this.result === undefined && this.#look();
  }

  #look(): boolean {
    const now = monotonicMs();
    this.#nextLook = this.#count + this.#step;
    if (this.#startMs < 0) {
      this.#startMs = now;
    } else if (this.#fromMs < 0) {
      if (now - this.#startMs < this.#spec.warmUpMs) return false;
      this.#fromMs = now;
      this.#fromCount = this.#count;
    } else if (now - this.#fromMs >= this.#spec.durationMs) {
      this.result = { records: this.#count - this.#fromCount, milliseconds: now - this.#fromMs };
      return true;
    }
    return false;
  }
}
