import { ENTRY_ALIGNMENT } from "../entry/entry-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";

const ALIGN_MASK = -ENTRY_ALIGNMENT;

/**
 * A stretch of a file in private memory, which moves forward with its reader. Offsets are those of the file; an entry
 * that is 8-aligned there is 8-aligned here.
 */
export class SegmentWindow {
  bytes: Buffer;
  words: Int32Array;
  private readonly storage: Storage;
  private fd = -1;
  /** File offset of the first byte. */
  private start = 0;
  private filled = 0;

  /** @param capacityBytes read at once; grows when a single `load` needs more. */
  constructor(storage: Storage, capacityBytes: number) {
    this.storage = storage;
    const buffer = new ArrayBuffer((capacityBytes + ENTRY_ALIGNMENT - 1) & ALIGN_MASK);
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
  }

  /** Begins with another file. */
  attach(fd: number): void {
    this.fd = fd;
    this.start = 0;
    this.filled = 0;
  }

  /**
   * Makes `length` bytes from `offset` available, and as many behind them as fit (at most up to `readEnd`).
   * @returns the index of the first in `bytes`, until the next load, or -1 when the file ends before the last.
   */
  load(offset: number, length: number, readEnd: number = Number.POSITIVE_INFINITY): number {
    const index = offset - this.start;
    if (index >= 0 && index + length <= this.filled) return index;
    const aligned = offset - (offset % ENTRY_ALIGNMENT);
    const needed = offset - aligned + length;
    if (needed > this.bytes.length) this.grow(needed);
    const wanted = Math.max(needed, Math.min(this.bytes.length, readEnd - aligned));
    this.start = aligned;
    this.filled = readFully(this.storage, this.fd, this.bytes, 0, wanted, aligned);
    return this.filled < needed ? -1 : offset - aligned;
  }

  /** Bytes available from an index that `load` returned. */
  available(index: number): number {
    return this.filled - index;
  }

  private grow(length: number): void {
    const buffer = new ArrayBuffer((length + ENTRY_ALIGNMENT - 1) & ALIGN_MASK);
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
  }
}
