import type { LatencyRecorder } from "../measure/latency.ts";

const RUNS_MIN = 64;

/**
 * When the records that are not yet acknowledged were to be sent, oldest first, as runs of records of one moment: a burst is
 * one entry. A ring that grows up to as many runs as records may be in flight.
 */
export class InFlightRuns {
  #times: Float64Array = new Float64Array(RUNS_MIN);
  #counts: Int32Array = new Int32Array(RUNS_MIN);
  #head = 0;
  #runs = 0;
  #records = 0;

  get records(): number {
    return this.#records;
  }

  add(timeMs: number, count: number): void {
    this.#records += count;
    const last = (this.#head + this.#runs - 1) & (this.#times.length - 1);
    if (this.#runs > 0 && this.#times[last] === timeMs) {
      this.#counts[last] = (this.#counts[last] as number) + count;
      return;
    }
    if (this.#runs === this.#times.length) this.#grow();
    const at = (this.#head + this.#runs) & (this.#times.length - 1);
    this.#times[at] = timeMs;
    this.#counts[at] = count;
    this.#runs += 1;
  }

  /**
   * The oldest `count` records are answered: times those that were to be sent in [fromMs, toMs).
   * @returns how many of them there were: fewer than `count` if the driver reports more than was published
   */
  settle(count: number, nowMs: number, fromMs: number, toMs: number, into: LatencyRecorder): number {
    let left = count;
    while (left > 0 && this.#runs > 0) {
      const timeMs = this.#times[this.#head] as number;
      const held = this.#counts[this.#head] as number;
      const taken = Math.min(held, left);
      if (timeMs >= fromMs && timeMs < toMs) into.recordMany(nowMs - timeMs, taken);
      left -= taken;
      if (taken === held) {
        this.#head = (this.#head + 1) & (this.#times.length - 1);
        this.#runs -= 1;
      } else {
        this.#counts[this.#head] = held - taken;
      }
    }
    const settled = count - left;
    this.#records -= settled;
    return settled;
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    const counts = new Int32Array(times.length);
    for (let i = 0; i < this.#runs; i++) {
      const at = (this.#head + i) & (this.#times.length - 1);
      times[i] = this.#times[at] as number;
      counts[i] = this.#counts[at] as number;
    }
    this.#times = times;
    this.#counts = counts;
    this.#head = 0;
  }
}
