import { monotonicMs } from "@millrace/load/internal";
import type { TransferResult, TransferSpec } from "./transfer-spec.ts";

/** The clock is asked once in so many bytes, and at least once in LOOK_RECORDS_MAX records. */
const LOOK_BYTES = 1 << 20;
const LOOK_RECORDS_MAX = 4096;

/**
 * In the warm-up the consumer rests now and then. Two threads that spin on two cores leave none to the compiler's threads, and
 * a process whose hot loops are compiled too late is three times slower all along its window.
 */
const REST_EVERY_MS = 10;
const REST_MS = 5;

/** The consumer's clock: lets the warm-up pass, then counts records from the first to the last of the window. */
export class WindowMeter {
  /** Set once the window is over. */
  result: TransferResult | undefined;
  #count = 0;
  #nextLook: number;
  readonly #step: number;
  readonly #spec: TransferSpec;
  // NaN, so that these are doubles from the start: a field that changes its kind when the window opens makes V8 throw away the
  // loop around it, right when it is to be measured.
  #startMs = Number.NaN;
  #restedMs = Number.NaN;
  #fromMs = Number.NaN;
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
    if (Number.isNaN(this.#startMs)) {
      this.#startMs = now;
      this.#restedMs = now;
    } else if (Number.isNaN(this.#fromMs)) {
      if (now - this.#startMs < this.#spec.warmUpMs) {
        this.#rest(now);
        return false;
      }
      this.#fromMs = now;
      this.#fromCount = this.#count;
    } else if (now - this.#fromMs >= this.#spec.durationMs) {
      this.result = { records: this.#count - this.#fromCount, milliseconds: now - this.#fromMs };
      return true;
    }
    return false;
  }

  #rest(now: number): void {
    if (now - this.#restedMs < REST_EVERY_MS) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REST_MS);
    this.#restedMs = now + REST_MS;
  }
}
