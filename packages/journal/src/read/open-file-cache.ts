import { JOURNAL_LIMITS } from "../limits.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import { decodeSettledHeader, SETTLED_HEADER_BYTES } from "../settled/settled-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";
import { FileAccess } from "./file-access.ts";

/** A file of entries that is open for reading: a segment, or a settled file. */
export interface ReadableFile {
  readonly path: string;
  readonly fd: number;
  readonly access: FileAccess;
  /** Undefined: the header is damaged, so that no entry can be checked. */
  readonly seed: number | undefined;
}

interface OpenFile extends ReadableFile {
  /** Number of the sweep in which the file was used last. */
  usedIn: number;
}

/** Keeps the files that were read last open. One thread. */
export class OpenFileCache {
  private readonly storage: Storage;
  /** In the order of their last use. */
  private readonly files: Map<string, OpenFile> = new Map();
  private sweeps = 0;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  get count(): number {
    return this.files.size;
  }

  /** @throws what the storage throws */
  open(path: string): ReadableFile {
    const known = this.files.get(path);
    if (known !== undefined) {
      known.usedIn = this.sweeps;
      this.files.delete(path);
      this.files.set(path, known);
      return known;
    }
    const fd = this.storage.open(path, "read");
    let seed: number | undefined;
    try {
      seed = this.readSeed(fd);
    } catch (error) {
      this.storage.close(fd);
      throw error;
    }
    const access = new FileAccess(this.storage, path, fd);
    const file: OpenFile = { path, fd, access, seed, usedIn: this.sweeps };
    this.files.set(path, file);
    this.evict();
    return file;
  }

  /** The file, if it is open. */
  peek(path: string): ReadableFile | undefined {
    return this.files.get(path);
  }

  /** Closes one file, so that the next `open` looks at it anew. */
  forget(path: string): void {
    const file = this.files.get(path);
    if (file === undefined) return;
    this.files.delete(path);
    file.access.close();
  }

  /** Closes what was not used since the sweep before: a file that was removed takes its room until it is closed. */
  sweep(): void {
    for (const [path, file] of this.files) {
      if (file.usedIn >= this.sweeps) break;
      this.forget(path);
    }
    this.sweeps++;
  }

  close(): void {
    for (const path of [...this.files.keys()]) this.forget(path);
  }

  /** A settled file's own header, or that of the segment it was adopted from. */
  private readSeed(fd: number): number | undefined {
    const bytes = new Uint8Array(Math.max(SEGMENT_HEADER_BYTES, SETTLED_HEADER_BYTES));
    const read = readFully(this.storage, fd, bytes, 0, bytes.length, 0);
    if (read < bytes.length) return undefined;
    return (decodeSegmentHeader(bytes) ?? decodeSettledHeader(bytes))?.seed;
  }

  private evict(): void {
    for (const path of this.files.keys()) {
      if (this.files.size <= JOURNAL_LIMITS.coldReaderFilesMax) return;
      this.forget(path);
    }
  }
}
