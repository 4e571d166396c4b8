/**
 * When each record of an open loop is to be sent: a fixed schedule, which does not wait for the broker, so that a pause of
 * the broker makes every record late that fell into it (wrk2's answer to coordinated omission). Records come in bursts of
 * `burst`, and the bursts go to the connections in turn. Pure arithmetic; times are ms of any clock.
 */
export class OpenLoopSchedule {
  readonly #startMs: number;
  readonly #burst: number;
  readonly #lanes: number;
  readonly #burstsPerMs: number;

  /** @throws RangeError unless rate, burst and lanes are positive */
  constructor(recordsPerSecond: number, startMs: number, burst: number, lanes: number) {
    if (!(recordsPerSecond > 0) || !(burst >= 1) || !(lanes >= 1)) {
      const values = `recordsPerSecond=${recordsPerSecond} burst=${burst} lanes=${lanes}`;
      throw new RangeError(`a schedule needs a positive rate: ${values}`);
    }
    this.#startMs = startMs;
    this.#burst = burst;
    this.#lanes = lanes;
    this.#burstsPerMs = recordsPerSecond / burst / 1000;
  }

  /** How many bursts are due until `nowMs`, all lanes together. */
  burstsDue(nowMs: number): number {
    if (nowMs < this.#startMs) return 0;
    // The correction by what burstMs() says keeps the two from disagreeing by one burst through rounding.
    let due = Math.floor((nowMs - this.#startMs) * this.#burstsPerMs) + 1;
    if (this.burstMs(due - 1) > nowMs) due -= 1;
    else if (this.burstMs(due) <= nowMs) due += 1;
    return due;
  }

  /** When burst number `burst` (from 0) is due. */
  burstMs(burst: number): number {
    return this.#startMs + burst / this.#burstsPerMs;
  }

  /** When the `index`-th record (from 0) of a lane is due. */
  recordMs(lane: number, index: number): number {
    return this.burstMs(Math.floor(index / this.#burst) * this.#lanes + lane);
  }
}
