import { JOURNAL_LIMITS } from "../limits.ts";
import type { Storage } from "../storage/storage.ts";

/** Time for a cold reader; undefined: it reads through the page cache only. */
export interface ReadClock {
  /** Fractions of a millisecond count. */
  monotonicMs(): number;
}

const NOT_OPENED = -1;
const IMPOSSIBLE = -2;
/** A slow read counts more than a fast one, and it takes more than one slow read: threads are interrupted, too. */
const SLOW_SCORE = 2;
const COLD_SCORE = 3;

/**
 * How one file is read: through the page cache, or past it once its reads are as slow as a disk. What is old then
 * neither drives out what is new nor lets the kernel read megabytes ahead, behind which a sync has to wait. Now and then a
 * read goes through the cache again, since somebody else may have brought the file there.
 */
export class FileAccess {
  readonly fd: number;
  private readonly storage: Storage;
  private readonly path: string;
  private directFd = NOT_OPENED;
  private score = 0;
  private directBytes = 0;

  constructor(storage: Storage, path: string, fd: number) {
    this.storage = storage;
    this.path = path;
    this.fd = fd;
  }

  /** The file descriptor for a read past the page cache; negative: read through it. */
  direct(): number {
    if (this.score < COLD_SCORE || this.directFd === IMPOSSIBLE) return NOT_OPENED;
    if (this.directBytes >= JOURNAL_LIMITS.coldProbeBytes) {
      this.directBytes = 0;
      this.score = COLD_SCORE - 1;
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

  /** A read through the page cache took so long. */
  noteCached(bytes: number, elapsedMs: number): void {
    if (bytes < JOURNAL_LIMITS.coldTimedBytesMin) return;
    const isSlow = elapsedMs * JOURNAL_LIMITS.coldSlowBytesPerMs > bytes;
    this.score = isSlow ? Math.min(COLD_SCORE, this.score + SLOW_SCORE) : Math.max(0, this.score - 1);
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
    this.storage.close(this.fd);
    if (this.directFd >= 0) this.storage.close(this.directFd);
    this.directFd = IMPOSSIBLE;
  }
}
