import { allocateShared } from "../shared-header.ts";

/**
 * The shortest time that makes Atomics.wait ask the kernel: JavaScript has no yield. What it takes is the kernel's timer slack, about
 * 60 us on Linux.
 */
export const YIELD_MS = 0.001;

/** Sleeps the calling thread on a word of its own, which nobody notifies. */
export class ThreadSleep {
  private readonly word: Int32Array = new Int32Array(allocateShared(4));

  /** @throws TypeError where the platform forbids blocking, as on a browser's main thread. */
  sleep(timeoutMs: number): void {
    Atomics.wait(this.word, 0, 0, timeoutMs);
  }
}
