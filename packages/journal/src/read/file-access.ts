import { JOURNAL_LIMITS } from "../limits.ts";
import type { Storage } from "../storage/storage.ts";

const NOT_OPENED = -1;
const IMPOSSIBLE = -2;

/**
 * How one file is read while others write: through the page cache, or past it when the disk has to be asked. What is old
 * then neither drives out what is new nor lets the kernel read megabytes ahead, behind which a sync has to wait. Now and
 * then a read goes through the cache again, since somebody else may have brought the file there.
 */
export class FileAccess {
  readonly fd: number;
  private readonly storage: Storage;
  private readonly path: string;
  private directFd = NOT_OPENED;
  /** The last read through the page cache asked the disk. */
  private isCold = false;
  private directBytes = 0;
  private closed = false;

  constructor(storage: Storage, path: string, fd: number) {
    this.storage = storage;
    this.path = path;
    this.fd = fd;
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /** The file descriptor for a read past the page cache; negative: read through it. */
  direct(): number {
    if (!this.isCold || this.directFd === IMPOSSIBLE) return NOT_OPENED;
    if (this.directBytes >= JOURNAL_LIMITS.coldProbeBytes) {
      this.directBytes = 0;
      this.isCold = false;
      return NOT_OPENED;
    }
    if (this.directFd === NOT_OPENED) {
      try {
        this.directFd = this.storage.open(this.path, "readDirect");
      } catch {
        // The file system cannot, or the file has lost its name; as it is open, it can be read as before.
        this.directFd = IMPOSSIBLE;
      }
    }
    return this.directFd;
  }

  /** A read went through the page cache. */
  noteCached(fromDisk: boolean): void {
    this.isCold = fromDisk;
  }

  noteDirect(bytes: number): void {
    this.directBytes += bytes;
  }

  /** A read past the cache did not work. */
  refuseDirect(): void {
    if (this.directFd >= 0) this.storage.close(this.directFd);
    this.directFd = IMPOSSIBLE;
  }

  close(): void {
    this.closed = true;
    this.storage.close(this.fd);
    if (this.directFd >= 0) this.storage.close(this.directFd);
    this.directFd = IMPOSSIBLE;
  }
}
