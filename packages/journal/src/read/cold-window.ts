import { ENTRY_ALIGNMENT } from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { errorCodeOf, readFully, type Storage } from "../storage/storage.ts";
import type { AheadStretches } from "./ahead-stretches.ts";
import type { FileAccess } from "./file-access.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** Offsets and lengths of reads past the page cache are multiples of this: no disk has larger blocks. */
const DIRECT_ALIGNMENT = 4_096;
/** Where in memory such a read may begin depends on an address that nobody tells: a multiple of 512 or 4096 is found by trying. */
const SHIFT_STEP = 16;
const UNKNOWN = -1;

/**
 * A stretch of a file in memory, which moves forward with its reader: what was read ahead of it, where there is such, else
 * private memory that it fills through the page cache or past it. Offsets are those of the file; an entry that is 8-aligned
 * there is 8-aligned here.
 */
export class ColdWindow {
  bytes: Buffer = Buffer.alloc(0);
  words: Int32Array = new Int32Array(0);
  private readonly storage: Storage;
  private readonly disk: SharedDisk | undefined;
  private readonly ahead: AheadStretches | undefined;
  /** Its own; `bytes` may show other memory. */
  private memory: ArrayBuffer = new ArrayBuffer(0);
  /** First byte of `memory` into which the disk may write; UNKNOWN until it was tried. */
  private shift: number = UNKNOWN;
  private showsAhead = false;
  private access: FileAccess | undefined;
  private immutable = false;
  /** File offset of the first byte. */
  private start = 0;
  private filled = 0;
  /** Behind the bytes that were asked for last. */
  private usedTo = 0;

  /** @param disk without it everything is read through the page cache. @param ahead what is read ahead of the window. */
  constructor(storage: Storage, disk: SharedDisk | undefined, ahead?: AheadStretches) {
    this.storage = storage;
    this.disk = disk;
    this.ahead = ahead;
    this.allocate(JOURNAL_LIMITS.coldLongReadBytes);
  }

  /** Begins with another file, or anew. @param immutable what was read once stays as it is. */
  attach(access: FileAccess, immutable: boolean): void {
    this.access = access;
    this.immutable = immutable;
    this.showOwn();
    this.start = 0;
    this.filled = 0;
  }

  /**
   * Makes `length` bytes from `offset` available, and as many behind them as one read takes (at most up to `readEnd`).
   * @returns the index of the first in `bytes`, until the next load, or -1 when the file ends before the last.
   */
  load(offset: number, length: number, readEnd: number): number {
    const index = offset - this.start;
    this.usedTo = offset + length;
    if (index >= 0 && index + length <= this.filled) return index;
    const access = this.access as FileAccess;
    const { ahead } = this;
    if (ahead !== undefined && this.immutable && ahead.take(access, offset, length)) {
      return this.showAhead(ahead, offset);
    }
    this.showOwn();
    const disk = this.immutable ? this.disk : undefined;
    if (disk?.isBusy()) {
      const fd = access.direct();
      if (fd >= 0 && this.readDirect(access, fd, offset, length, readEnd)) return offset - this.start;
    }
    const aligned = offset - (offset % ENTRY_ALIGNMENT);
    const needed = offset - aligned + length;
    if (needed > this.bytes.length) this.allocate(needed);
    // The kernel reads ahead of consecutive reads only: one that begins elsewhere asks for all it will need.
    const isNext = aligned <= this.start + this.filled && offset >= this.start && this.filled > 0;
    const wantedMax = isNext ? JOURNAL_LIMITS.coldReadBytes : JOURNAL_LIMITS.coldLongReadBytes;
    // What is being read ahead need not be read here.
    const wantedEnd = Math.min(readEnd, ahead?.nextStart(access, offset) ?? readEnd);
    const wanted = Math.max(needed, Math.min(wantedMax, wantedEnd - aligned));
    this.start = aligned;
    this.filled = 0;
    const before = disk?.bytesRead() ?? 0;
    this.filled = readFully(this.storage, access.fd, this.bytes, 0, wanted, aligned);
    if (disk !== undefined) access.noteCached(disk.bytesRead() > before);
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

  private showAhead(ahead: AheadStretches, offset: number): number {
    this.bytes = ahead.bytes;
    this.words = ahead.words;
    this.start = ahead.start;
    this.filled = ahead.length;
    this.showsAhead = true;
    return offset - this.start;
  }

  /** Nothing of what it shows then counts, unless it was its own. */
  private showOwn(): void {
    if (!this.showsAhead) return;
    this.showsAhead = false;
    this.ahead?.leave(this.usedTo);
    this.show(Math.max(0, this.shift));
  }

  /** Bytes that a read past the page cache may bring, wherever it begins in memory. */
  private capacity(): number {
    return this.memory.byteLength - DIRECT_ALIGNMENT;
  }

  private allocate(bytes: number): void {
    this.memory = new ArrayBuffer(roundUp(bytes) + DIRECT_ALIGNMENT);
    this.shift = UNKNOWN;
    this.show(0);
  }

  private show(shift: number): void {
    const length = this.capacity();
    this.bytes = Buffer.from(this.memory, shift, length);
    this.words = new Int32Array(this.memory, shift, length >> 2);
    this.start = 0;
    this.filled = 0;
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / DIRECT_ALIGNMENT) * DIRECT_ALIGNMENT;
}
