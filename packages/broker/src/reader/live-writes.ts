import { BROKER_LIMITS } from "../limits.ts";
import type { Clock } from "../shard/clock.ts";

const WORDS = 32;
const LAST_MS = 0;

/**
 * Whether somebody publishes: shard threads say when their journals have grown, the reader thread asks, and leaves the disk
 * to them while they do. One word for all shards, the low bits of the wall clock; should that step, the answer may be wrong
 * until the next write, which costs speed and nothing else.
 */
export class LiveWrites {
  readonly #word: Int32Array;
  readonly #clock: Clock;

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(WORDS * 4);
  }

  constructor(buffer: SharedArrayBuffer, clock: Clock) {
    this.#word = new Int32Array(buffer);
    this.#clock = clock;
  }

  /** Any shard thread: its journal has grown. */
  note(): void {
    Atomics.store(this.#word, LAST_MS, this.#clock.wallMs() | 0);
  }

  /** Reader thread: somebody has written just now. */
  get isBusy(): boolean {
    const ageMs = ((this.#clock.wallMs() | 0) - Atomics.load(this.#word, LAST_MS)) | 0;
    return Math.abs(ageMs) < BROKER_LIMITS.liveWritesMs;
  }
}
