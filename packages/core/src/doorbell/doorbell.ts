import { LINE_BYTES } from "../shared-header.ts";

/**
 * The bytes of a doorbell:
 *
 *     byte   0 | magic int32 | ...       line 0: written once by allocate
 *     byte 128 | sleeping int32 | ...    line 1: 1 while the owner sleeps or is about to, else 0
 */
const DOORBELL_MAGIC = 0x4244_524d;
const SLEEPING_WORD = LINE_BYTES / 4;
const DOORBELL_BYTES = 2 * LINE_BYTES;

const AWAKE = 0;
const SLEEPING = 1;

/**
 * Wakes one sleeping thread, and costs one load when that thread is awake.
 *
 * The sleeper calls `prepareSleep`, looks into all its rings once more, and then either `cancelSleep` or sleeps. The
 * others publish first and `ring` after. Both sides store before they load, in the sequentially consistent order of
 * Atomics, so at least one of them sees the other (Dekker's argument) and no wake-up is lost.
 *
 * A worker thread sleeps in `wait` and is woken by Atomics.notify. An event loop sleeps by returning to its loop; whoever
 * rings for it is given a `wake` that reaches it there, as `port.postMessage(null)` does.
 *
 * Each thread builds its own instance over the shared buffer, which lives as long as any of them.
 */
export class Doorbell {
  /** The shared memory, to hand to other threads. */
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly wake: (() => void) | undefined;

  /** Memory for one sleeping thread, which starts awake. */
  static allocate(): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer(DOORBELL_BYTES);
    new Int32Array(buffer)[0] = DOORBELL_MAGIC;
    return buffer;
  }

  /**
   * An instance over memory from `allocate`. Each thread attaches for itself.
   *
   * @param wake given when the sleeper is an event loop: reaches it from this thread, and must not throw.
   * @throws TypeError when the buffer does not come from `Doorbell.allocate`.
   */
  static attach(buffer: SharedArrayBuffer, wake?: () => void): Doorbell {
    return new Doorbell(buffer, wake);
  }

  private constructor(buffer: SharedArrayBuffer, wake: (() => void) | undefined) {
    if (!(buffer instanceof SharedArrayBuffer)) {
      throw new TypeError(
        `doorbell needs a SharedArrayBuffer: got ${Object.prototype.toString.call(buffer)}`,
      );
    }
    const words = buffer.byteLength === DOORBELL_BYTES ? new Int32Array(buffer) : undefined;
    if (words === undefined || words[0] !== DOORBELL_MAGIC) {
      throw new TypeError(
        `not a doorbell: byteLength=${buffer.byteLength} (expected ${DOORBELL_BYTES}) ` +
          `magic=${words?.[0] ?? "unread"} (expected ${DOORBELL_MAGIC})`,
      );
    }
    this.buffer = buffer;
    this.words = words;
    this.wake = wake;
  }

  /**
   * Wakes the sleeper if it sleeps; call it after publishing. Any thread, the sleeper's own included.
   *
   * @returns true when this call is the one that woke it.
   */
  ring(): boolean {
    const words = this.words;
    // The load alone answers on the busy path; a compare-exchange would take the line away from the sleeper each time.
    if (Atomics.load(words, SLEEPING_WORD) !== SLEEPING) return false;
    if (Atomics.compareExchange(words, SLEEPING_WORD, SLEEPING, AWAKE) !== SLEEPING) return false;
    if (this.wake === undefined) Atomics.notify(words, SLEEPING_WORD, 1);
    else this.wake();
    return true;
  }

  /** Sleeper only: announces sleep. Everything that could have been published before must be looked at again after. */
  prepareSleep(): void {
    Atomics.store(this.words, SLEEPING_WORD, SLEEPING);
  }

  /** Sleeper only: takes the announcement back. An event loop calls it too when something else than the bell woke it. */
  cancelSleep(): void {
    Atomics.store(this.words, SLEEPING_WORD, AWAKE);
  }

  /**
   * Sleeper only, after `prepareSleep`: blocks the thread until rung or until `timeoutMs` (Infinity: no limit; 0 or less:
   * not at all). Returns at once when it was rung in between.
   *
   * @throws RangeError for NaN, which Atomics.wait would take for ever; Error on an instance that has a `wake`, since
   * nobody would notify; TypeError where the platform forbids blocking, as on a browser's main thread.
   */
  wait(timeoutMs: number): void {
    if (Number.isNaN(timeoutMs)) throw new RangeError("timeoutMs must be a number: timeoutMs=NaN");
    if (this.wake !== undefined)
      throw new Error("a doorbell with a wake function belongs to an event loop, which must not wait");
    Atomics.wait(this.words, SLEEPING_WORD, SLEEPING, timeoutMs);
    Atomics.store(this.words, SLEEPING_WORD, AWAKE);
  }
}
