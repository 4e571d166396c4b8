import { allocateShared, checkHeader, SharedKind, writeHeader } from "../shared-header.ts";
import { AWAKE, BLOCKED, DOORBELL_BYTES, PARKED, STATE_WORD } from "./doorbell-layout.ts";

/** Atomics.waitAsync of ES2024, which not every platform has. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
  timeoutMs: number,
) => { async: false; value: string } | { async: true; value: Promise<string> };

/**
 * Wakes one sleeping thread, and costs one load when that thread is awake.
 *
 * The sleeper announces sleep, looks into all its rings once more, and then either calls `cancelSleep` or sleeps. The
 * others publish first and `ring` after. Both sides store before they load, in the sequentially consistent order of
 * Atomics, so at least one of them sees the other (Dekker's argument) and no wake-up is lost.
 *
 * There are three ways to sleep:
 * - A thread that may block, as a worker: `prepareSleep`, look again, `wait`.
 * - An event loop that can be sent messages: `park`, look again, return to the loop. Whoever may ring for it is given
 *   a `poke` that reaches it there, as `port.postMessage(null)` does; the sleeper calls `cancelSleep` when it comes back.
 * - An event loop without such a port, where the platform has Atomics.waitAsync: `prepareSleep`, look again, `await waitAsync()`.
 *
 * The state in shared memory says which it is, so ringers need not know; a `poke` does no harm to a sleeper that blocks.
 *
 * Each thread attaches for itself; the sleeper uses one instance. The buffer lives as long as any of them.
 */
export class Doorbell {
  /** The shared memory, to hand to other threads. */
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly poke: (() => void) | undefined;
  /** Of this instance as the sleeper: what its last waitAsync waits for, while it does. */
  private waiting: Promise<string> | undefined;

  /** Memory for one sleeping thread, which starts awake. */
  static allocate(): SharedArrayBuffer {
    const buffer = allocateShared(DOORBELL_BYTES);
    writeHeader(buffer, SharedKind.DOORBELL, 0);
    return buffer;
  }

  /**
   * An instance over memory from `allocate`. Each thread attaches for itself.
   *
   * @param poke for a ringer whose sleeper may `park`: reaches the sleeper's event loop from this thread, and must not
   * throw. Without it a parked sleeper stays asleep.
   * @throws TypeError when the buffer is no doorbell or has another layout; RangeError when it was cut.
   */
  static attach(buffer: SharedArrayBuffer, poke?: () => void): Doorbell {
    return new Doorbell(buffer, poke);
  }

  /** Whether this platform has Atomics.waitAsync. */
  static canWaitAsync(): boolean {
    return platformWaitAsync() !== undefined;
  }

  private constructor(buffer: SharedArrayBuffer, poke: (() => void) | undefined) {
    checkHeader(buffer, SharedKind.DOORBELL, (capacity) => (capacity === 0 ? DOORBELL_BYTES : undefined));
    this.words = new Int32Array(buffer);
    this.buffer = buffer;
    this.poke = poke;
  }

  /**
   * Wakes the sleeper if it sleeps; call it after publishing. Any thread, the sleeper's own included.
   *
   * @returns true when this call is the one that woke it: of several ringers exactly one.
   */
  ring(): boolean {
    const words = this.words;
    // The load alone answers on the busy path; a compare-exchange would take the line away from the sleeper each time.
    const state = Atomics.load(words, STATE_WORD);
    if (state === AWAKE) return false;
    // A sleeper on its way into Atomics.wait must not find BLOCKED any more, or it would sleep through the notify. And where
    // the exchange fails, it has announced itself anew since our load, so its second look sees what we published.
    if (Atomics.compareExchange(words, STATE_WORD, state, AWAKE) !== state) return false;
    if (state === PARKED && this.poke !== undefined) this.poke();
    else Atomics.notify(words, STATE_WORD, 1);
    return true;
  }

  /**
   * Sleeper: announces that it will `wait` or `waitAsync`. Everything that could have been published before must be looked at
   * again after.
   */
  prepareSleep(): void {
    if (this.waiting !== undefined) this.endWaitAsync();
    Atomics.store(this.words, STATE_WORD, BLOCKED);
  }

  /**
   * Sleeper: announces that it will return to its event loop, to be woken by a poke. Everything that could have been published
   * before must be looked at again after.
   */
  park(): void {
    if (this.waiting !== undefined) this.endWaitAsync();
    Atomics.store(this.words, STATE_WORD, PARKED);
  }

  /**
   * Sleeper: takes the announcement back. An event loop calls it whenever it comes back to its rings, whatever woke it;
   * a `waitAsync` that is still pending then ends.
   */
  cancelSleep(): void {
    Atomics.store(this.words, STATE_WORD, AWAKE);
    if (this.waiting !== undefined) this.endWaitAsync();
  }

  /**
   * Sleeper, after `prepareSleep`: blocks the thread until rung or until `timeoutMs` (Infinity: no limit; 0 or less:
   * not at all). Returns at once when it was rung in between. It is awake afterwards.
   *
   * @throws RangeError for NaN, which Atomics.wait would take for ever; Error when it is parked, where nobody would notify;
   * TypeError where the platform forbids blocking, as on a browser's main thread.
   */
  wait(timeoutMs: number): void {
    if (Number.isNaN(timeoutMs)) refuseTimeout();
    const outcome = Atomics.wait(this.words, STATE_WORD, BLOCKED, timeoutMs);
    if (outcome === "not-equal") this.checkNotParked();
    Atomics.store(this.words, STATE_WORD, AWAKE);
  }

  /**
   * Sleeper, after `prepareSleep`: like `wait`, without blocking the thread. One at a time: announcing sleep anew,
   * `cancelSleep` or another call end the one before, whose promise resolves then.
   *
   * On Node a pending promise keeps neither the process nor a worker alive; hold a timer or a port where it should.
   *
   * @returns resolves when rung, at the timeout, or when ended; rejects as `wait` throws, and with an Error where the platform has no
   * Atomics.waitAsync.
   */
  async waitAsync(timeoutMs: number = Number.POSITIVE_INFINITY): Promise<void> {
    if (Number.isNaN(timeoutMs)) refuseTimeout();
    const waitAsync = platformWaitAsync();
    if (waitAsync === undefined) {
      throw new Error("this platform has no Atomics.waitAsync: park instead, and give those who ring a poke");
    }
    this.endWaitAsync();
    const outcome = waitAsync(this.words, STATE_WORD, BLOCKED, timeoutMs);
    if (outcome.async) {
      this.waiting = outcome.value;
      await outcome.value;
      // Ended by its own thread, which may have announced sleep again since: that announcement must stand.
      if (this.waiting !== outcome.value) return;
      this.waiting = undefined;
    } else if (outcome.value === "not-equal") {
      this.checkNotParked();
    }
    Atomics.store(this.words, STATE_WORD, AWAKE);
  }

  /** `ring` notifies one waiter; one of the past must not stand before that of the present. */
  private endWaitAsync(): void {
    if (this.waiting === undefined) return;
    this.waiting = undefined;
    Atomics.notify(this.words, STATE_WORD);
  }

  private checkNotParked(): void {
    if (Atomics.load(this.words, STATE_WORD) === PARKED) {
      throw new Error("a parked sleeper must not wait: it is woken by a poke, not by a notify");
    }
  }
}

function platformWaitAsync(): WaitAsync | undefined {
  return (Atomics as { waitAsync?: WaitAsync }).waitAsync;
}

function refuseTimeout(): never {
  throw new RangeError("timeoutMs must be a number: timeoutMs=NaN");
}
