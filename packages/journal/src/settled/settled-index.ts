import { MillraceError } from "@millrace/protocol";
import { checksumWords } from "../entry/header-checksum.ts";
import { POINT_BYTES } from "../lookup/index-points.ts";
import {
  decodeSidecarHeader,
  SIDECAR_FORMAT_VERSION,
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
  type SidecarHeader,
  type SidecarPartition,
  sidecarPartitionAt,
} from "../lookup/sidecar-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";
import type { SettledFile } from "./manifest-layout.ts";
import { SETTLED_TRAILER_BYTES } from "./settled-layout.ts";

/** The index of a file of entries without its points: a sidecar's, or a settled file's footer. Its checksums were right. */
export interface FileIndex {
  readonly header: SidecarHeader;
  /** For sidecarPartitionAt and findSidecarPartition. */
  readonly table: Int32Array;
  /** Where the index begins in its file; what the table calls pointsAt counts from there. */
  readonly at: number;
  /** Where it ends at the latest. */
  readonly endAt: number;
}

/**
 * The index that begins at `at` and ends before `endAt`, or undefined when there is no whole one.
 * @throws what the storage throws
 */
export function readFileIndex(
  storage: Storage,
  fd: number,
  at: number,
  endAt: number,
): FileIndex | undefined {
  const head = readWords(storage, fd, at, SIDECAR_HEADER_BYTES, endAt);
  const header = head === undefined ? undefined : decodeSidecarHeader(head);
  if (header === undefined || header.version > SIDECAR_FORMAT_VERSION) return undefined;
  const tableBytes = header.partitionCount * SIDECAR_PARTITION_BYTES;
  const table = readWords(storage, fd, at + SIDECAR_HEADER_BYTES, tableBytes, endAt);
  if (table === undefined || checksumWords(table, 0, table.length, 0) !== header.tableCrc) return undefined;
  return { header, table, at, endAt };
}

/** The points of a partition of the table, four uint32 each, or undefined when they are damaged. */
export function readIndexPoints(
  storage: Storage,
  fd: number,
  index: FileIndex,
  { pointsAt, pointCount, pointsCrc }: SidecarPartition,
): Uint32Array | undefined {
  const words = readWords(storage, fd, index.at + pointsAt, pointCount * POINT_BYTES, index.endAt);
  if (words === undefined || checksumWords(words, 0, words.length, 0) !== pointsCrc) return undefined;
  return new Uint32Array(words.buffer);
}

/**
 * The footer of a settled file as the manifest lists it.
 * @throws MillraceError JOURNAL_DAMAGED with file and position (from the file's start); what the storage throws
 */
export function readSettledIndex(storage: Storage, path: string, file: SettledFile): FileIndex {
  const fd = storage.open(path, "read");
  try {
    const index = readFileIndex(storage, fd, file.footerAt, file.sizeBytes - SETTLED_TRAILER_BYTES);
    if (
      index === undefined ||
      index.header.basePosition !== file.basePosition ||
      index.header.endPosition !== file.endPosition ||
      index.header.partitionCount !== file.partitionCount
    ) {
      throw new MillraceError("JOURNAL_DAMAGED", `bad footer: ${path} position ${file.footerAt}`, {
        details: { file: path, position: file.footerAt },
      });
    }
    return index;
  } finally {
    storage.close(fd);
  }
}

/** An index in memory that is known to be whole. */
export function fileIndexOf(bytes: Uint8Array): FileIndex {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const header = decodeSidecarHeader(words);
  if (header === undefined) throw new Error("the bytes are not an index");
  const tableEnd = SIDECAR_HEADER_BYTES + header.partitionCount * SIDECAR_PARTITION_BYTES;
  const table = words.subarray(SIDECAR_HEADER_BYTES >> 2, tableEnd >> 2);
  return { header, table, at: 0, endAt: bytes.length };
}

/** Length in bytes of the whole index that `bytes` begin with, points included, or undefined when it is not whole. */
export function wholeIndexLength(bytes: Uint8Array): number | undefined {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const header = decodeSidecarHeader(words);
  if (header === undefined || header.version > SIDECAR_FORMAT_VERSION) return undefined;
  const tableEnd = SIDECAR_HEADER_BYTES + header.partitionCount * SIDECAR_PARTITION_BYTES;
  if (tableEnd > bytes.length) return undefined;
  const table = words.subarray(SIDECAR_HEADER_BYTES >> 2, tableEnd >> 2);
  if (checksumWords(table, 0, table.length, 0) !== header.tableCrc) return undefined;
  let end = tableEnd;
  for (let i = 0; i < header.partitionCount; i++) {
    const { pointsAt, pointCount, pointsCrc } = sidecarPartitionAt(table, i);
    if (pointsAt !== end) return undefined;
    end += pointCount * POINT_BYTES;
    if (end > bytes.length) return undefined;
    if (checksumWords(words, pointsAt >> 2, (pointCount * POINT_BYTES) >> 2, 0) !== pointsCrc)
      return undefined;
  }
  return end;
}

function readWords(
  storage: Storage,
  fd: number,
  position: number,
  length: number,
  endAt: number,
): Int32Array | undefined {
  if (position + length > endAt) return undefined;
  const bytes = new Uint8Array(length);
  if (readFully(storage, fd, bytes, 0, length, position) < length) return undefined;
  return new Int32Array(bytes.buffer);
}
