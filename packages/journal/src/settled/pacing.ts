import { JOURNAL_LIMITS } from "../limits.ts";
import { type Storage, writeFully } from "../storage/storage.ts";

/** Waits on the calling thread. ms. */
export type Pause = (ms: number) => void;

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** Puts the calling thread to sleep. */
export const sleep: Pause = (ms) => {
  Atomics.wait(nobodyWakes, 0, 0, ms);
};

/**
 * Writes large files in pieces, slowly enough for those who use the disk too, and syncs as it goes so that no sync has much
 * to do. A pause is as long as the bytes before it may take, so that the rate is a bound.
 */
export class PacedWriter {
  private readonly storage: Storage;
  private readonly bytesPerSecond: number;
  private readonly pause: Pause;
  private unsynced = 0;

  /** @param bytesPerSecond 0 = as fast as it goes. */
  constructor(storage: Storage, bytesPerSecond: number, pause: Pause) {
    this.storage = storage;
    this.bytesPerSecond = bytesPerSecond;
    this.pause = pause;
  }

  /** Writes the first `length` bytes of the source. */
  write(fd: number, source: Uint8Array, length: number, position: number): void {
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, JOURNAL_LIMITS.settleWriteBytes);
      writeFully(this.storage, fd, source, done, piece, position + done);
      done += piece;
      this.unsynced += piece;
      if (this.unsynced >= JOURNAL_LIMITS.settleSyncBytes) this.sync(fd);
      if (this.bytesPerSecond > 0) this.pause((piece * 1000) / this.bytesPerSecond);
    }
  }

  /** Makes what was written durable, except for the file's name. */
  sync(fd: number): void {
    this.storage.sync(fd);
    this.unsynced = 0;
  }
}
