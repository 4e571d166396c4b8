import type { Background } from "../background.ts";
import { discardFile, removeQuietly, type Storage, writeZeros } from "./storage.ts";

/**
 * A file of zeros under a temporary name, at most one at a time: room on the disk that nobody else can take. Whoever has use
 * for it writes over it and gives it a name. Shard thread only; the next owner removes what a crash leaves.
 */
export class PreparedFile {
  private readonly storage: Storage;
  private readonly background: Background;
  private readonly stem: string;
  private readyPath: string | undefined;
  private readyBytes = 0;
  private running = false;
  private closed = false;
  private count = 0;

  /** @param stem the beginning of its paths. */
  constructor(storage: Storage, background: Background, stem: string) {
    this.storage = storage;
    this.background = background;
    this.stem = stem;
  }

  /** Undefined unless the file is complete. */
  get path(): string | undefined {
    return this.readyPath;
  }

  /** Of the complete file. */
  get sizeBytes(): number {
    return this.readyBytes;
  }

  /** There is none, nor is one being made. */
  get isNone(): boolean {
    return this.readyPath === undefined && !this.running;
  }

  /** A name that no file has had: a temporary one. */
  newPath(): string {
    const path = `${this.stem}-${this.count}.tmp`;
    this.count++;
    return path;
  }

  /** Has the file made in the background, durable. Only when there is none. */
  prepareLater(sizeBytes: number, done: () => void): void {
    const path = this.newPath();
    this.running = true;
    this.background.submit({ kind: "prepare-segment", path, sizeBytes }, (error) => {
      this.running = false;
      if (error === undefined) {
        const isWanted = !this.closed && this.readyPath === undefined;
        if (isWanted) this.ready(path, sizeBytes);
        else removeQuietly(this.storage, path);
      }
      done();
    });
  }

  /** Makes the file at once, in the page cache, unless there is one that is as large. @returns what failed */
  prepareNow(sizeBytes: number): unknown {
    if (this.readyPath !== undefined && this.readyBytes >= sizeBytes) return undefined;
    this.release();
    const { storage } = this;
    const path = this.newPath();
    try {
      const fd = storage.open(path, "create");
      try {
        writeZeros(storage, fd, 0, sizeBytes);
      } catch (error) {
        discardFile(storage, fd, path);
        return error;
      }
      storage.close(fd);
    } catch (error) {
      return error;
    }
    this.ready(path, sizeBytes);
    return undefined;
  }

  /** Gives the file this name, under which it is the caller's. @returns false when there is none */
  rename(to: string): boolean {
    if (this.readyPath === undefined) return false;
    try {
      this.storage.rename(this.readyPath, to);
    } catch {
      return false;
    }
    this.taken();
    return true;
  }

  /** The file has got another name, or is gone. */
  taken(): void {
    this.readyPath = undefined;
    this.readyBytes = 0;
  }

  /** Removes the file. */
  release(): void {
    if (this.readyPath !== undefined) removeQuietly(this.storage, this.readyPath);
    this.taken();
  }

  /** Removes the file, and the one that is being made once it is complete. */
  close(): void {
    this.closed = true;
    this.release();
  }

  private ready(path: string, sizeBytes: number): void {
    this.readyPath = path;
    this.readyBytes = sizeBytes;
  }
}
