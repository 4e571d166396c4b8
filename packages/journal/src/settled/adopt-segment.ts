import { MillraceError } from "@millrace/protocol";
import { JOURNAL_LIMITS } from "../limits.ts";
import { sidecarPartitionAt } from "../lookup/sidecar-layout.ts";
import { requireFence } from "../ownership/fence.ts";
import { errorCodeOf, readFully, type Storage } from "../storage/storage.ts";
import { sourcePath } from "./entry-source.ts";
import type { MadeFiles, NewSettledFile } from "./made-files.ts";
import type { SettledFile } from "./manifest-layout.ts";
import type { PacedWriter } from "./pacing.ts";
import { indexSegment, readWholeSidecar, type SegmentSource } from "./segment-index.ts";
import type { SettleJob } from "./settle-jobs.ts";
import { type FileIndex, readFileIndex, wholeIndexLength } from "./settled-index.ts";
import { decodeSettledTrailer, encodeSettledTrailer, SETTLED_TRAILER_BYTES } from "./settled-layout.ts";

/** What linkFile answers where files cannot have two names. */
const LINK_REFUSED = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "EXDEV", "EMLINK", "ENOSYS"]);

/** An adopted segment and the index that it has got. */
export interface AdoptedSegment {
  readonly file: SettledFile;
  readonly index: FileIndex;
}

/**
 * Makes a settled file of an ended segment as it stands: appends its index, and gives it a second name. Where files cannot
 * have two names the segment is copied. Its data is durable, its new name is not.
 *
 * @throws MillraceError JOURNAL_DAMAGED when neither sidecar nor entries tell what the segment holds, JOURNAL_FAILED when
 * fenced; what the storage throws
 */
export function adoptSegment(
  storage: Storage,
  job: SettleJob,
  segment: SegmentSource,
  writer: PacedWriter,
  made: MadeFiles,
): AdoptedSegment {
  const path = sourcePath(job.directory, segment);
  requireFence(storage, job.directory, job.epoch);
  const { index, sizeBytes } = addFooter(storage, job, segment, path, writer);
  const target = made.next(segment.basePosition);
  requireFence(storage, job.directory, job.epoch);
  try {
    storage.link(path, target.path);
  } catch (error) {
    if (!LINK_REFUSED.has(errorCodeOf(error) ?? "")) throw error;
    copyFile(storage, path, target.path, sizeBytes, writer);
  }
  return { file: describe(target, index, sizeBytes), index };
}

/** Puts the index and the trailer behind the entries, unless they are there. */
function addFooter(
  storage: Storage,
  job: SettleJob,
  segment: SegmentSource,
  path: string,
  writer: PacedWriter,
): { index: FileIndex; sizeBytes: number } {
  const footerAt = segment.endPosition - segment.basePosition;
  const fd = storage.open(path, "readWrite");
  try {
    if (storage.size(fd) < footerAt) throw tooShort(path, segment.basePosition + storage.size(fd));
    // An owner that lost the shard may be doing the same: what is whole stays as it is. But it is written once more, since
    // the system may believe it to be on the disk after a sync that failed.
    const existing = existingFooter(storage, fd, footerAt);
    const footer = existing ?? readWholeSidecar(storage, job, segment) ?? indexSegment(storage, job, segment);
    writer.write(fd, footer, footer.length, footerAt);
    const trailer = encodeSettledTrailer({ footerAt, footerLength: footer.length });
    writer.write(fd, trailer, trailer.length, footerAt + footer.length);
    if (existing === undefined) storage.truncate(fd, footerAt + footer.length + SETTLED_TRAILER_BYTES);
    writer.sync(fd);
    const sizeBytes = footerAt + footer.length + SETTLED_TRAILER_BYTES;
    const index = readFileIndex(storage, fd, footerAt, sizeBytes - SETTLED_TRAILER_BYTES);
    if (index === undefined) throw new Error(`footer was not written: ${path} position ${footerAt}`);
    return { index, sizeBytes };
  } finally {
    storage.close(fd);
  }
}

/** The footer of an earlier attempt, if all of it is there. */
function existingFooter(storage: Storage, fd: number, footerAt: number): Uint8Array | undefined {
  const size = storage.size(fd);
  const length = size - SETTLED_TRAILER_BYTES - footerAt;
  if (length <= 0) return undefined;
  const end = new Uint8Array(SETTLED_TRAILER_BYTES);
  readFully(storage, fd, end, 0, end.length, size - end.length);
  const trailer = decodeSettledTrailer(end);
  if (trailer?.footerAt !== footerAt || trailer.footerLength !== length) return undefined;
  const footer = new Uint8Array(length);
  readFully(storage, fd, footer, 0, length, footerAt);
  return wholeIndexLength(footer) === length ? footer : undefined;
}

function copyFile(storage: Storage, from: string, to: string, sizeBytes: number, writer: PacedWriter): void {
  const source = storage.open(from, "read");
  try {
    const target = storage.open(to, "create");
    try {
      const chunk = new Uint8Array(Math.min(sizeBytes, JOURNAL_LIMITS.sortReadBytes));
      for (let position = 0; position < sizeBytes; ) {
        const read = readFully(
          storage,
          source,
          chunk,
          0,
          Math.min(chunk.length, sizeBytes - position),
          position,
        );
        if (read === 0) throw tooShort(from, position);
        writer.write(target, chunk, read, position);
        position += read;
      }
      writer.sync(target);
    } finally {
      storage.close(target);
    }
  } finally {
    storage.close(source);
  }
}

function describe({ name }: NewSettledFile, index: FileIndex, sizeBytes: number): SettledFile {
  const { header, table } = index;
  let entryBytes = 0;
  let firstTime = Number.POSITIVE_INFINITY;
  let lastTime = 0;
  let expiryTime = Number.POSITIVE_INFINITY;
  let records = 0;
  for (let i = 0; i < header.partitionCount; i++) {
    const partition = sidecarPartitionAt(table, i);
    entryBytes += partition.bytes;
    firstTime = Math.min(firstTime, partition.firstTime);
    lastTime = Math.max(lastTime, partition.lastTime);
    expiryTime = Math.min(expiryTime, partition.lastTime);
    records += partition.endOffset - partition.firstOffset;
  }
  const isEmpty = header.partitionCount === 0;
  return {
    ...name,
    endPosition: header.endPosition,
    sizeBytes,
    footerAt: index.at,
    entryBytes,
    firstTime: isEmpty ? 0 : firstTime,
    lastTime,
    expiryTime: isEmpty ? 0 : expiryTime,
    firstTopicId: isEmpty ? 0 : sidecarPartitionAt(table, 0).topicId,
    lastTopicId: isEmpty ? 0 : sidecarPartitionAt(table, header.partitionCount - 1).topicId,
    partitionCount: header.partitionCount,
    adopted: true,
    records,
  };
}

function tooShort(path: string, position: number): MillraceError {
  return new MillraceError("JOURNAL_DAMAGED", `file ends too early: ${path} position ${position}`, {
    details: { file: path, position },
  });
}
