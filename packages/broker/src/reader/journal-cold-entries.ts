import {
  type AheadSlots,
  ColdReader,
  DiskMeter,
  READ_DAMAGED,
  READ_FAILED,
  READ_MOVED,
  READ_NEEDS_ROOM,
  READ_UNFINISHED,
  RealStorage,
  type SharedDisk,
  TIME_NOT_FOUND,
} from "@millrace/journal/internal";
import type { MillraceError } from "@millrace/protocol";
import type { ColdReadMessage } from "./cold-read-message.ts";
import {
  type ColdEntries,
  type ColdReadResult,
  MOVED,
  NO_ENTRIES,
  READ,
  UNFINISHED,
} from "./cold-read-server.ts";
import type { LiveWrites } from "./live-writes.ts";

/** A reader that leaves the disk to those who publish. Reader thread only, and opened there. */
export function openColdReader(
  shardsDirectory: string,
  liveWrites: LiveWrites,
  slots: AheadSlots,
): ColdReader {
  const meter = DiskMeter.open();
  const disk: SharedDisk | undefined = meter && {
    isBusy: () => liveWrites.isBusy,
    bytesRead: () => meter.bytesRead(),
    slots,
  };
  return new ColdReader(new RealStorage(), shardsDirectory, disk);
}

/** Cold entries from the journal's files. Reader thread only. */
export class JournalColdEntries implements ColdEntries {
  readonly #reader: ColdReader;
  readonly #result: ColdReadResult = { ...NO_ENTRIES };

  constructor(reader: ColdReader) {
    this.#reader = reader;
  }

  read(message: ColdReadMessage, target: Buffer, targetStart: number, maxBytes: number): ColdReadResult {
    const reader = this.#reader;
    const outcome = reader.read(message, target, targetStart, maxBytes);
    if (outcome === READ_DAMAGED || outcome === READ_FAILED) throw reader.error as MillraceError;
    const result = this.#result;
    result.bytes = Math.max(outcome, 0);
    result.entryCount = reader.entryCount;
    result.firstOffset = reader.firstOffset;
    result.erasedEnd = reader.erasedEnd;
    result.nextOffset = reader.nextOffset;
    result.bytesNeeded = outcome === READ_NEEDS_ROOM ? reader.neededBytes : 0;
    result.mayBeDropped = reader.mayBeDropped;
    result.state = outcome === READ_UNFINISHED ? UNFINISHED : outcome === READ_MOVED ? MOVED : READ;
    // None found: a gap up to the limit. The entry located behind it may not even be written; it is not below
    // the limit then, since what can be read is written, or still in the tail cache.
    return result;
  }

  findTime(message: ColdReadMessage): number {
    const reader = this.#reader;
    const outcome = reader.findTime(message, message.timeMs);
    if (outcome === READ_DAMAGED || outcome === READ_FAILED) throw reader.error as MillraceError;
    if (outcome === READ_UNFINISHED) return UNFINISHED;
    // The stretch located may end before the time comes; then the next entry behind it is the one.
    if (outcome === TIME_NOT_FOUND) return Math.min(reader.nextOffset, message.limitOffset);
    return Math.min(outcome, message.limitOffset);
  }

  get holdsFiles(): boolean {
    return this.#reader.openFiles > 0;
  }

  closeIdle(): void {
    this.#reader.closeIdle();
  }
}
