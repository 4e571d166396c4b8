import type { Background } from "../background.ts";
import { PreparedFile } from "../storage/prepared-file.ts";
import { isDiskFull, isOutOfFiles, type Storage } from "../storage/storage.ts";
import type { SegmentAppender } from "./segment-appender.ts";
import type { SegmentFile } from "./segment-file.ts";

/**
 * Room that the journal keeps for itself while a disk runs full, in the only form that others cannot take: as zeros where its
 * next bytes will stand. Behind the end of the segment that is written, so that changes of state find room; in a file that
 * the next segment is made of; and in one for the next manifest or checkpoint, without which nothing can be deleted.
 * Shard thread only.
 */
export class HeldRoom {
  private readonly appender: SegmentAppender;
  private readonly file: PreparedFile;
  private wantedBytes = 0;

  constructor(
    appender: SegmentAppender,
    options: {
      readonly storage: Storage;
      readonly background: Background;
      readonly directory: string;
      readonly epoch: number;
    },
  ) {
    const { storage, background, directory, epoch } = options;
    this.appender = appender;
    this.file = new PreparedFile(storage, background, `${directory}/held-${epoch}`);
  }

  /** Room is to be held: what can wait must not take any. */
  get isWanted(): boolean {
    return this.wantedBytes > 0;
  }

  /**
   * Holds `bytes` behind the end of the segment, and half of that in each of the two files. 0: no more, and what is held in
   * no file of the journal's is given back.
   * @returns false when there is no room for all of it.
   * @throws what the storage throws for the segment, unless that there is no room.
   */
  keep(segment: SegmentFile, bytes: number): boolean {
    this.wantedBytes = bytes;
    if (bytes === 0) {
      this.file.release();
      return true;
    }
    // The manifest before the segment: it can free more. What fails otherwise is tried again the next time.
    const failures = [
      this.holdBehind(segment, bytes),
      this.file.prepareNow(bytes >> 1),
      this.appender.next.prepareNow(bytes >> 1),
    ];
    return !failures.some(isDiskFull);
  }

  /** Whether the next segment will find room in any case; true while none is to be held. */
  hasNext(): boolean {
    return !this.isWanted || this.appender.next.prepareNow(this.wantedBytes >> 1) === undefined;
  }

  /** Gives the file for a manifest or checkpoint away, under this name. @returns false when there is none */
  lend(path: string): boolean {
    return this.file.rename(path);
  }

  close(): void {
    this.file.close();
  }

  private holdBehind(segment: SegmentFile, bytes: number): unknown {
    try {
      this.appender.hold(segment, bytes);
      return undefined;
    } catch (error) {
      if (isDiskFull(error) || isOutOfFiles(error)) return error;
      throw error;
    }
  }
}
