import { MillraceError } from "@millrace/protocol";
import { SEGMENT_HEADER_BYTES, segmentFileName, segmentSeed } from "../segment/segment-layout.ts";
import type { Storage } from "../storage/storage.ts";
import type { SettleJob, SettleSource } from "./settle-jobs.ts";
import { readSettledIndex } from "./settled-index.ts";
import { SETTLED_HEADER_BYTES, settledFileName, settledSeed } from "./settled-layout.ts";

/** An open file whose entries are read one after another. */
export interface EntrySource {
  readonly path: string;
  readonly fd: number;
  /** Of the entries' headers. */
  readonly seed: number;
  /** File offsets. */
  readonly firstAt: number;
  readonly endAt: number;
  /** What added to a file offset makes the position to report. */
  readonly basePosition: number;
}

/** The source's path. */
export function sourcePath(directory: string, source: SettleSource): string {
  const name =
    source.kind === "segment"
      ? segmentFileName(source.basePosition, source.epoch)
      : settledFileName(source.file);
  return `${directory}/${name}`;
}

/**
 * Opens a source to read it; whoever calls closes its fd.
 * @throws MillraceError JOURNAL_DAMAGED for a settled file whose footer is damaged; what the storage throws
 */
export function openEntrySource(storage: Storage, job: SettleJob, source: SettleSource): EntrySource {
  const path = sourcePath(job.directory, source);
  if (source.kind === "segment") {
    const { basePosition, epoch, endPosition } = source;
    const seed = segmentSeed(job.journalId, basePosition, epoch);
    const endAt = endPosition - basePosition;
    return { path, fd: storage.open(path, "read"), seed, firstAt: SEGMENT_HEADER_BYTES, endAt, basePosition };
  }
  const { file } = source;
  const seed = file.adopted
    ? segmentSeed(job.journalId, file.basePosition, readSettledIndex(storage, path, file).header.epoch)
    : settledSeed(job.journalId, file);
  const fd = storage.open(path, "read");
  return { path, fd, seed, firstAt: SETTLED_HEADER_BYTES, endAt: file.footerAt, basePosition: 0 };
}

/** @param offset in the source's file. */
export function damagedEntry({ path, basePosition }: EntrySource, offset: number): MillraceError {
  const position = basePosition + offset;
  return new MillraceError("JOURNAL_DAMAGED", `bad entry: ${path} position ${position}`, {
    details: { file: path, position },
  });
}
