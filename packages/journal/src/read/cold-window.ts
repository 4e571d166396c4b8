import { ENTRY_ALIGNMENT } from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { errorCodeOf, readFully, type Storage } from "../storage/storage.ts";
import type { FileAccess, ReadClock } from "./file-access.ts";

/** Offsets and lengths of reads past the page cache are multiples of this: no disk has larger blocks. */
const DIRECT_ALIGNMENT = 4_096;
/** Where in memory such a read may begin depends on an address that nobody tells: a multiple of 512 or 4096 is found by trying. */
const SHIFT_STEP = 16;
const UNKNOWN = -1;

/**
 * A stretch of a file in private memory, which moves forward with its reader, through the page cache or past it. Offsets
 * are those of the file; an entry that is 8-aligned there is 8-aligned here.
 */
export class ColdWindow {
  bytes: Buffer = Buffer.alloc(0);
  words: Int32Array = new Int32Array(0);
  private readonly storage: Storage;
  private readonly clock: ReadClock | undefined;
  private memory: ArrayBuffer = new ArrayBuffer(0);
  /** First byte of `memory` into which the disk may write; UNKNOWN until it was tried. */
  private shift: number = UNKNOWN;
  private access: FileAccess | undefined;
  private mayBypass = false;
  /** File offset of the first byte. */
  private start = 0;
  private filled = 0;

  constructor(storage: Storage, clock: ReadClock | undefined) {
    this.storage = storage;
    this.clock = clock;
    this.allocate(clock === undefined ? JOURNAL_LIMITS.coldReadBytes : JOURNAL_LIMITS.coldDirectReadBytes);
  }

  /** Begins with another file. @param immutable what was read once stays as it is. */
  attach(access: FileAccess, immutable: boolean): void {
    this.access = access;
    this.mayBypass = immutable && this.clock !== undefined;
    this.start = 0;
    this.filled = 0;
  }

  /**
   * Makes `length` bytes from `offset` available, and as many behind them as one read takes (at most up to `readEnd`).
   * @returns the index of the first in `bytes`, until the next load, or -1 when the file ends before the last.
   */
  load(offset: number, length: number, readEnd: number): number {
    const index = offset - this.start;
    if (index >= 0 && index + length <= this.filled) return index;
    const access = this.access as FileAccess;
    if (this.mayBypass) {
      const fd = access.direct();
      if (fd >= 0 && this.readDirect(access, fd, offset, length, readEnd)) return offset - this.start;
    }
    const aligned = offset - (offset % ENTRY_ALIGNMENT);
    const needed = offset - aligned + length;
    if (needed > this.bytes.length) this.allocate(needed);
    const wanted = Math.max(needed, Math.min(JOURNAL_LIMITS.coldReadBytes, readEnd - aligned));
    this.start = aligned;
    this.filled = 0;
    const startedMs = this.mayBypass ? (this.clock as ReadClock).monotonicMs() : 0;
    this.filled = readFully(this.storage, access.fd, this.bytes, 0, wanted, aligned);
    if (this.mayBypass) access.noteCached(this.filled, (this.clock as ReadClock).monotonicMs() - startedMs);
    return this.filled < needed ? -1 : offset - aligned;
  }

  /** @returns false when the bytes have to be read through the page cache */
  private readDirect(
    access: FileAccess,
    fd: number,
    offset: number,
    length: number,
    readEnd: number,
  ): boolean {
    const aligned = offset - (offset % DIRECT_ALIGNMENT);
    const needed = offset - aligned + length;
    if (roundUp(needed) > this.bytes.length) this.allocate(roundUp(needed));
    if (this.shift === UNKNOWN && !this.findShift(fd)) {
      access.refuseDirect();
      return false;
    }
    const wanted = Math.max(roundUp(needed), Math.min(this.capacity(), roundUp(readEnd - aligned)));
    this.start = aligned;
    this.filled = 0;
    let read: number;
    try {
      read = this.storage.read(fd, this.bytes, 0, wanted, aligned);
    } catch (error) {
      // Through the cache it may work; if not, that is the error to tell.
      if (errorCodeOf(error) === undefined) throw error;
      access.refuseDirect();
      return false;
    }
    if (read < needed) return false;
    this.filled = read;
    access.noteDirect(read);
    return true;
  }

  /** Tries where a read past the page cache may go. */
  private findShift(fd: number): boolean {
    for (let shift = 0; shift < DIRECT_ALIGNMENT; shift += SHIFT_STEP) {
      this.show(shift);
      try {
        this.storage.read(fd, this.bytes, 0, DIRECT_ALIGNMENT, 0);
        this.shift = shift;
        return true;
      } catch (error) {
        if (errorCodeOf(error) !== "EINVAL") break;
      }
    }
    this.show(0);
    return false;
  }

  /** Bytes that a read past the page cache may bring, wherever it begins in memory. */
  private capacity(): number {
    return this.memory.byteLength - DIRECT_ALIGNMENT;
  }

  private allocate(bytes: number): void {
    this.memory = new ArrayBuffer(roundUp(bytes) + DIRECT_ALIGNMENT);
    this.shift = UNKNOWN;
    this.show(0);
    this.start = 0;
    this.filled = 0;
  }

  private show(shift: number): void {
    const length = this.capacity();
    this.bytes = Buffer.from(this.memory, shift, length);
    this.words = new Int32Array(this.memory, shift, length >> 2);
    this.filled = 0;
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / DIRECT_ALIGNMENT) * DIRECT_ALIGNMENT;
}
