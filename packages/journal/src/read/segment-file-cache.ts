import { JOURNAL_LIMITS } from "../limits.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";

/** A segment that is open for reading. */
export interface ReadableSegment {
  readonly path: string;
  readonly fd: number;
  /** Undefined: the header is damaged, so that no entry can be checked. */
  readonly seed: number | undefined;
}

/** Keeps the segments that were read last open. One thread. */
export class SegmentFileCache {
  private readonly storage: Storage;
  /** In the order of their last use. */
  private readonly files: Map<string, ReadableSegment> = new Map();

  constructor(storage: Storage) {
    this.storage = storage;
  }

  /** @throws what the storage throws */
  open(path: string): ReadableSegment {
    const known = this.files.get(path);
    if (known !== undefined) {
      this.files.delete(path);
      this.files.set(path, known);
      return known;
    }
    const fd = this.storage.open(path, "read");
    let seed: number | undefined;
    try {
      const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
      const read = readFully(this.storage, fd, bytes, 0, bytes.length, 0);
      seed = read === bytes.length ? decodeSegmentHeader(bytes)?.seed : undefined;
    } catch (error) {
      this.storage.close(fd);
      throw error;
    }
    const file: ReadableSegment = { path, fd, seed };
    // A header that is damaged now may have been repaired when the segment is asked for again.
    this.files.set(path, file);
    this.evict();
    return file;
  }

  /** Closes one file, so that the next `open` looks at it anew. */
  forget(path: string): void {
    const file = this.files.get(path);
    if (file === undefined) return;
    this.files.delete(path);
    this.storage.close(file.fd);
  }

  close(): void {
    for (const path of [...this.files.keys()]) this.forget(path);
  }

  private evict(): void {
    for (const path of this.files.keys()) {
      if (this.files.size <= JOURNAL_LIMITS.coldReaderSegmentsMax) return;
      this.forget(path);
    }
  }
}
