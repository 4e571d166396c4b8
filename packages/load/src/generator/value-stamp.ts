import { STAMP_BYTES } from "../limits.ts";

/**
 * The value that a generator publishes over and over. Its first 8 bytes may be the time at which it was to be sent: a
 * float64, ms of the machine's monotonic clock, in the byte order of the machine, which publisher and consumer share.
 */
export class StampedValue {
  readonly bytes: Buffer;
  readonly #time: Float64Array;

  constructor(valueBytes: number) {
    // The stamp has to be aligned, so the value stands at the beginning of a buffer of its own.
    const memory = new ArrayBuffer(Math.max(valueBytes, STAMP_BYTES));
    this.bytes = Buffer.from(memory, 0, valueBytes);
    this.#time = new Float64Array(memory, 0, 1);
    fillIncompressibly(this.bytes);
  }

  stamp(timeMs: number): void {
    this.#time[0] = timeMs;
  }
}

const scratchTime: Float64Array = new Float64Array(1);
const scratchBytes: Uint8Array = new Uint8Array(scratchTime.buffer);

/** The time in the first 8 bytes, wherever they stand in memory. Allocates nothing. */
export function stampOf(value: Uint8Array): number {
  for (let i = 0; i < STAMP_BYTES; i++) scratchBytes[i] = value[i] as number;
  return scratchTime[0] as number;
}

/** The same bytes in each run, and of no use to a broker that compresses. */
function fillIncompressibly(bytes: Uint8Array): void {
  let state = 0x9e3779b9;
  for (let i = 0; i < bytes.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
}
