import { checksumWords, ENTRY_CHECK, ENTRY_HEADER_BYTES, type Storage } from "../src/internal.ts";
import {
  decodeSidecarHeader,
  findSidecarPartition,
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
  sidecarPartitionAt,
} from "../src/lookup/sidecar-layout.ts";
import { decodeSegmentHeader } from "../src/segment/segment-layout.ts";
import type { SettledFile } from "../src/settled/manifest-layout.ts";
import {
  decodeSettledHeader,
  decodeSettledTrailer,
  SETTLED_TRAILER_BYTES,
  settledFileName,
} from "../src/settled/settled-layout.ts";
import { readFile } from "../src/storage/storage.ts";

/** What a settled file says to hold of a partition. */
export interface SettledSection {
  readonly topicId: number;
  readonly partition: number;
  readonly endOffset: number;
  readonly bytes: number;
}

/** A settled file read as a whole, or why it cannot be: its bytes are not what was written. Small files only. */
export class WholeSettledFile {
  readonly sections: readonly SettledSection[];
  private readonly bytes: Buffer;
  private readonly footer: Int32Array;
  private readonly table: Int32Array;
  private readonly seed: number;

  private constructor(
    bytes: Buffer,
    seed: number,
    footer: Int32Array,
    table: Int32Array,
    sections: readonly SettledSection[],
  ) {
    this.bytes = bytes;
    this.seed = seed;
    this.footer = footer;
    this.table = table;
    this.sections = sections;
  }

  /** @returns undefined when header, footer or trailer are damaged. @throws Error when the file is not there */
  static read(storage: Storage, directory: string, file: SettledFile): WholeSettledFile | undefined {
    const path = `${directory}/${settledFileName(file)}`;
    const bytes = readFile(storage, path);
    if (bytes === undefined) throw new Error(`settled file is listed, but missing: ${path}`);
    if (bytes.length < file.sizeBytes) return undefined;
    const header = file.adopted ? decodeSegmentHeader(bytes) : decodeSettledHeader(bytes);
    const trailer = decodeSettledTrailer(bytes.slice(file.sizeBytes - SETTLED_TRAILER_BYTES, file.sizeBytes));
    if (header === undefined || trailer === undefined || trailer.footerAt !== file.footerAt) return undefined;
    const footer = new Int32Array(
      bytes.slice(trailer.footerAt, trailer.footerAt + trailer.footerLength).buffer,
    );
    const index = decodeSidecarHeader(footer);
    if (index === undefined) return undefined;
    const tableAt = SIDECAR_HEADER_BYTES / 4;
    const table = footer.slice(tableAt, tableAt + (index.partitionCount * SIDECAR_PARTITION_BYTES) / 4);
    if (checksumWords(table, 0, table.length, 0) !== index.tableCrc) return undefined;
    const sections = Array.from({ length: index.partitionCount }, (_, i) => sidecarPartitionAt(table, i));
    return new WholeSettledFile(Buffer.from(bytes), header.seed, footer, table, sections);
  }

  /** The stored entries of a partition, in order, or undefined when one of them is damaged. */
  entries(topicId: number, partition: number): Buffer[] | undefined {
    const count = this.sections.length;
    const found = findSidecarPartition(this.table, count, topicId, partition);
    if (found === undefined) return [];
    const points = this.footer.subarray(found.pointsAt / 4, found.pointsAt / 4 + found.pointCount * 4);
    if (checksumWords(points, 0, points.length, 0) !== found.pointsCrc) return undefined;
    const entries: Buffer[] = [];
    for (let i = 0; i < found.pointCount; i++) {
      const start = (points[i * 4 + 1] as number) >>> 0;
      const end = start + ((points[i * 4 + 2] as number) >>> 0);
      for (let at = start; at < end; ) {
        const entry = this.entryAt(at);
        if (entry === undefined) return undefined;
        const isWanted =
          entry.readInt32LE(4) === 1 &&
          entry.readUInt32LE(32) === topicId &&
          entry.readUInt32LE(36) === partition;
        if (isWanted) entries.push(entry);
        at += (entry.length + 7) & -8;
      }
    }
    return entries;
  }

  private entryAt(at: number): Buffer | undefined {
    const length = at + ENTRY_HEADER_BYTES <= this.bytes.length ? this.bytes.readInt32LE(at) : 0;
    if (length < ENTRY_HEADER_BYTES || at + length > this.bytes.length) return undefined;
    const size = (length + 7) & -8;
    const copy = new Uint8Array(size);
    copy.set(this.bytes.subarray(at, at + length));
    const words = new Int32Array(copy.buffer);
    if (!ENTRY_CHECK.header(words, 0, this.seed) || !ENTRY_CHECK.payload(copy, words, 0)) return undefined;
    return Buffer.from(copy.buffer, 0, length);
  }
}
