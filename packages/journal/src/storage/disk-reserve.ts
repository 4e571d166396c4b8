import type { Background } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { Storage } from "./storage.ts";

/** In a shard's folder: zeros whose room is given up when the disk is full. */
export const RESERVE_FILE = "reserve";

export interface DiskReserveOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly background: Background;
  /** Goes into the name of the temporary file. */
  readonly epoch: number;
  /** 0 = no reserve. */
  readonly sizeBytes: number;
}

/**
 * Room on the disk that a shard has set aside, so that what it has taken, changes of state and the manifest that frees
 * space can still be written when the disk is full. Shard thread only; the file is written in the background.
 */
export class DiskReserve {
  private readonly options: DiskReserveOptions;
  private whole: boolean;
  private spent = false;
  private inFlight = false;
  private retryAtMs = 0;
  private retryAfterMs: number = JOURNAL_LIMITS.retryAfterMs;

  /** Takes over what an earlier owner has left. */
  constructor(options: DiskReserveOptions) {
    this.options = options;
    this.whole = options.sizeBytes > 0 && this.isWhole();
  }

  /** Of the file, when it is there. */
  get sizeBytes(): number {
    return this.options.sizeBytes;
  }

  /** It was given up, and is not there again: accept nothing that can wait. */
  get isSpent(): boolean {
    return this.spent;
  }

  /** When `restore` is worth a call: Infinity while there is nothing to do. */
  get restoreAtMs(): number {
    const { sizeBytes } = this.options;
    return this.whole || this.inFlight || sizeBytes === 0 ? Number.POSITIVE_INFINITY : this.retryAtMs;
  }

  /** Has the file made, if it is not there. Cheap otherwise; call it while the disk has room. */
  restore(nowMs: number): void {
    if (nowMs < this.restoreAtMs) return;
    const { storage, directory, background, epoch, sizeBytes } = this.options;
    const temporary = `${directory}/${RESERVE_FILE}-${epoch}.tmp`;
    this.inFlight = true;
    this.retryAtMs = nowMs + this.retryAfterMs;
    this.retryAfterMs = Math.min(this.retryAfterMs * 2, JOURNAL_LIMITS.retryAfterMsMax);
    background.submit({ kind: "prepare-segment", path: temporary, sizeBytes }, (error) => {
      this.inFlight = false;
      if (error !== undefined) return;
      try {
        // The name need not be durable: without it the file is made anew.
        storage.rename(temporary, `${directory}/${RESERVE_FILE}`);
        this.whole = true;
        this.spent = false;
        this.retryAfterMs = JOURNAL_LIMITS.retryAfterMs;
      } catch {
        // Tried again later; the next owner removes temporary files.
      }
    });
  }

  /** There is room again: no reason to wait until the next try is due. */
  expectRoom(): void {
    this.retryAtMs = 0;
    this.retryAfterMs = JOURNAL_LIMITS.retryAfterMs;
  }

  /** The disk is full: gives the room up. @returns whether there was any */
  release(): boolean {
    if (!this.whole) return false;
    this.whole = false;
    this.spent = releaseReserve(this.options.storage, this.options.directory);
    return this.spent;
  }

  private isWhole(): boolean {
    const { storage, directory, sizeBytes } = this.options;
    const path = `${directory}/${RESERVE_FILE}`;
    if (!storage.exists(path)) return false;
    const fd = storage.open(path, "read");
    try {
      return storage.size(fd) === sizeBytes;
    } finally {
      storage.close(fd);
    }
  }
}

/** Removes a shard's reserve, whoever made it. @returns whether there was one */
export function releaseReserve(storage: Storage, directory: string): boolean {
  try {
    const path = `${directory}/${RESERVE_FILE}`;
    if (!storage.exists(path)) return false;
    storage.unlink(path);
    return true;
  } catch {
    return false;
  }
}
