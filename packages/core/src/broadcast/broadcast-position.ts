/** Positions in one value of the high word. */
const HALF = 2 ** 31;

/**
 * A position of 53 bits in two words of shared memory, so that a reader who was away while any number of GiB passed sees it.
 *
 *     low word:  bits 0 to 31 of the position
 *     high word: bits 31 to 52 of the position
 *
 * Bit 31 stands in both. One thread writes: the low word first, then the high word if it changes, once every 2 GiB. A reader that
 * comes between the two finds that the copies of bit 31 differ, and so knows the position all the same: the high word is one
 * behind. Nobody waits for anybody. A store moves the position by less than 2 GiB.
 */
export class BroadcastPosition {
  private readonly words: Int32Array;
  private readonly low: number;
  private readonly high: number;
  /** Writer: the high word. Reader: the high word as last seen. */
  private half: number;

  /** @param low index of the low word in `words`; the high word follows it. */
  constructor(words: Int32Array, low: number) {
    this.words = words;
    this.low = low;
    this.high = low + 1;
    this.half = Atomics.load(words, low + 1);
  }

  /** Any thread. */
  load(): number {
    const words = this.words;
    for (;;) {
      const low = Atomics.load(words, this.low);
      const half = Atomics.load(words, this.high);
      // The high word only grows. So if it is what it was before the low word was loaded, it was that at the low word's moment.
      if (half === this.half) return (half + ((half ^ (low >>> 31)) & 1)) * HALF + (low & (HALF - 1));
      this.half = half;
    }
  }

  /** The one writer. Publishes what it wrote before: whoever loads this position sees that too. */
  store(position: number): void {
    Atomics.store(this.words, this.low, position | 0);
    const half = Math.floor(position / HALF);
    if (half !== this.half) {
      this.half = half;
      Atomics.store(this.words, this.high, half);
    }
  }
}
