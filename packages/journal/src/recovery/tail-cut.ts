import type { LiveSegment } from "../segment/segment-chain.ts";
import { segmentFileName, sidecarFileName } from "../segment/segment-layout.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import { errorCodeOf, type Storage, writeFully } from "../storage/storage.ts";

/** Ends the journal at a position and makes durable what is before it. */
export class TailCut {
  /** Bytes that were not zero behind the end. */
  tornBytes = 0;
  private readonly storage: Storage;
  private readonly window: SegmentWindow;
  private readonly directory: string;

  constructor(storage: Storage, window: SegmentWindow, directory: string) {
    this.storage = storage;
    this.window = window;
    this.directory = directory;
  }

  /** Removes segments that hold nothing any more, newest first: what a crash leaves of them is found torn again. */
  remove(segments: readonly LiveSegment[]): void {
    for (const { basePosition, epoch } of [...segments].reverse()) {
      this.unlink(segmentFileName(basePosition, epoch));
      this.unlink(sidecarFileName(basePosition, epoch));
    }
  }

  /** Removes a file, if it is there: another owner may be removing it as well. */
  unlink(name: string): void {
    try {
      this.storage.unlink(`${this.directory}/${name}`);
    } catch (error) {
      if (errorCodeOf(error) !== "ENOENT") throw error;
    }
  }

  /** Frees what stands behind the end in the last segment. */
  free({ path }: LiveSegment, length: number): void {
    const { storage } = this;
    const fd = storage.open(path, "readWrite");
    try {
      if (storage.size(fd) <= length) return;
      storage.truncate(fd, length);
      storage.sync(fd);
    } finally {
      storage.close(fd);
    }
  }

  /** Counts what is lost of segments that go. */
  countTornOf(segments: readonly LiveSegment[]): void {
    for (const { path } of segments) this.countTorn(path, 0);
  }

  /**
   * Writes once more what nothing proves to be durable, and syncs the segments, which end at `end`, and the folder.
   *
   * Once more: if a sync failed when the last owner ran and it could not even mark the shard, the system may believe those
   * bytes to be written and show them to us from its cache; a sync alone would do nothing then.
   */
  settle(segments: readonly LiveSegment[], end: number, provenPosition: number): void {
    const { storage } = this;
    for (let i = 0; i < segments.length; i++) {
      const { path, basePosition } = segments[i] as LiveSegment;
      const next = segments[i + 1];
      const length = (next?.basePosition ?? end) - basePosition;
      if (next === undefined) this.countTorn(path, length);
      const fd = storage.open(path, "readWrite");
      try {
        // Longer, where the last entry is whole and only zeros behind it are missing.
        if (next === undefined && storage.size(fd) < length) storage.truncate(fd, length);
        this.writeAgain(fd, Math.max(0, provenPosition - basePosition), length);
        storage.sync(fd);
      } finally {
        storage.close(fd);
      }
    }
    storage.syncDirectory(this.directory);
  }

  private writeAgain(fd: number, from: number, end: number): void {
    const { window, storage } = this;
    window.attach(fd);
    for (let offset = from; offset < end; ) {
      const index = window.load(offset, 1, end);
      if (index < 0) return;
      const length = Math.min(window.available(index), end - offset);
      writeFully(storage, fd, window.bytes, index, length, offset);
      offset += length;
    }
  }

  private countTorn(path: string, from: number): void {
    const { window, storage } = this;
    const fd = storage.open(path, "read");
    try {
      window.attach(fd);
      for (let offset = from; ; ) {
        const index = window.load(offset, 1);
        if (index < 0) return;
        const end = index + window.available(index);
        let at = index;
        // Word by word, since a segment zeroed ahead can have all of its bytes here.
        for (; at % 4 === 0 && at + 4 <= end; at += 4) if (window.words[at >> 2] !== 0) this.tornBytes += 4;
        for (; at < end; at++) if (window.bytes[at] !== 0) this.tornBytes++;
        offset += end - index;
      }
    } finally {
      storage.close(fd);
    }
  }
}
