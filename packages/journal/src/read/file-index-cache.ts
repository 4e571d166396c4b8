import { crc32 } from "@millrace/protocol/internal";
import { JOURNAL_LIMITS } from "../limits.ts";
import { POINT_BYTES, POINT_WORDS } from "../lookup/index-points.ts";
import {
  decodeSidecarHeader,
  findSidecarPartition,
  SIDECAR_FORMAT_VERSION,
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
  type SidecarPartition,
} from "../lookup/sidecar-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";

/** The points of one partition in one file. */
export interface PartitionPoints {
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly count: number;
  readonly words: Uint32Array;
  /** False: made from entries up to a damaged one, so there may be more behind the last. */
  readonly complete: boolean;
  /** File offset of the damaged entry, if not complete. */
  readonly damagedAt?: number;
}

/** What a partition has in a file: enough to tell whether what is searched can be there. */
export type PartitionBounds = Pick<PartitionPoints, "firstOffset" | "endOffset" | "lastTime"> & {
  readonly complete?: boolean;
  readonly damagedAt?: number;
};

/** Where an index is: a sidecar, or the footer of a settled file. */
export interface IndexSource {
  readonly path: string;
  /** File offset of its first byte. */
  readonly indexAt: number;
  /** Which it must state, or it is not the index of what is searched. */
  readonly endPosition: number;
}

/** The file has nothing of the partition. */
export const NOT_IN_FILE = "not in file";

interface CachedIndex {
  readonly endPosition: number;
  /** Undefined: not usable, so that only what was made from the entries counts. */
  readonly table: Int32Array | undefined;
  readonly partitionCount: number;
  /** By topicId and partition. */
  readonly points: Map<string, PartitionPoints>;
  bytes: number;
}

/** What a map entry costs besides its words. */
const OVERHEAD_BYTES = 256;
/** Header and table are read with one call where they fit; points that come along are in the page cache when they are wanted. */
const FIRST_READ_BYTES = 131_072;

/** Reads the indexes of files partition by partition and keeps what was used last. One thread. */
export class FileIndexCache {
  /** Indexes read from files so far. */
  loads = 0;
  private readonly storage: Storage;
  private readonly bytesMax: number;
  /** By path, in the order of their last use. */
  private readonly indexes: Map<string, CachedIndex> = new Map();
  private bytes = 0;

  constructor(storage: Storage, bytesMax: number = JOURNAL_LIMITS.coldReaderIndexBytesMax) {
    this.storage = storage;
    this.bytesMax = bytesMax;
  }

  get cachedBytes(): number {
    return this.bytes;
  }

  /** True: `bounds` and `points` need not open the file for its table. */
  has(path: string): boolean {
    return this.indexes.has(path);
  }

  /** @returns undefined when the index is missing or damaged: then the entries themselves have to be read. */
  bounds(
    source: IndexSource,
    topicId: number,
    partition: number,
  ): PartitionBounds | typeof NOT_IN_FILE | undefined {
    const index = this.use(source) ?? this.load(source);
    const known = index.points.get(`${topicId}:${partition}`);
    if (known !== undefined) return known.count === 0 && known.complete ? NOT_IN_FILE : known;
    if (index.table === undefined) return undefined;
    return findSidecarPartition(index.table, index.partitionCount, topicId, partition) ?? NOT_IN_FILE;
  }

  /** The points of a partition, or undefined when the index is missing, damaged, or without the partition. */
  points(source: IndexSource, topicId: number, partition: number): PartitionPoints | undefined {
    const key = `${topicId}:${partition}`;
    const index = this.use(source) ?? this.load(source);
    const known = index.points.get(key);
    if (known !== undefined || index.table === undefined) return known;
    const entry = findSidecarPartition(index.table, index.partitionCount, topicId, partition);
    if (entry === undefined || entry.pointCount === 0) return undefined;
    const points = this.loadPoints(source, entry);
    if (points !== undefined) this.keep(source.path, index, key, points);
    return points;
  }

  /** Keeps points that were made from the entries themselves. */
  put(source: IndexSource, topicId: number, partition: number, points: PartitionPoints): void {
    const index = this.use(source) ?? this.insert(source, unusable(source));
    this.keep(source.path, index, `${topicId}:${partition}`, points);
  }

  forget(path: string): void {
    const index = this.indexes.get(path);
    if (index === undefined) return;
    this.indexes.delete(path);
    this.bytes -= index.bytes;
  }

  private use({ path, endPosition }: IndexSource): CachedIndex | undefined {
    const index = this.indexes.get(path);
    if (index === undefined) return undefined;
    if (index.endPosition !== endPosition) {
      this.forget(path);
      return undefined;
    }
    this.indexes.delete(path);
    this.indexes.set(path, index);
    return index;
  }

  private load(source: IndexSource): CachedIndex {
    this.loads++;
    // That an index is damaged is remembered with the points that are made instead; that it could not be read is not.
    return this.withFile(source.path, (fd) => this.loadFrom(fd, source)) ?? unusable(source);
  }

  private loadFrom(fd: number, source: IndexSource): CachedIndex {
    const { indexAt, endPosition } = source;
    const first = this.readWords(fd, indexAt, FIRST_READ_BYTES);
    const header = decodeSidecarHeader(first);
    if (
      header === undefined ||
      header.version > SIDECAR_FORMAT_VERSION ||
      header.endPosition !== endPosition
    ) {
      return this.insert(source, unusable(source));
    }
    const tableBytes = header.partitionCount * SIDECAR_PARTITION_BYTES;
    const tableAt = SIDECAR_HEADER_BYTES;
    const table =
      tableAt + tableBytes <= first.byteLength
        ? first.slice(tableAt / 4, (tableAt + tableBytes) / 4)
        : this.readWords(fd, indexAt + tableAt, tableBytes);
    if (table.byteLength < tableBytes || checksum(table) !== header.tableCrc) {
      return this.insert(source, unusable(source));
    }
    const { partitionCount } = header;
    const bytes = tableBytes + OVERHEAD_BYTES;
    return this.insert(source, { endPosition, table, partitionCount, points: new Map(), bytes });
  }

  private loadPoints(source: IndexSource, entry: SidecarPartition): PartitionPoints | undefined {
    const length = entry.pointCount * POINT_BYTES;
    const words = this.withFile(source.path, (fd) =>
      this.readWords(fd, source.indexAt + entry.pointsAt, length),
    );
    if (words === undefined || words.byteLength < length || checksum(words) !== entry.pointsCrc) {
      return undefined;
    }
    const { firstOffset, endOffset, firstTime, lastTime } = entry;
    const count = words.length / POINT_WORDS;
    const points = new Uint32Array(words.buffer);
    return { firstOffset, endOffset, firstTime, lastTime, count, words: points, complete: true };
  }

  private keep(path: string, index: CachedIndex, key: string, points: PartitionPoints): void {
    const bytes = points.words.byteLength + OVERHEAD_BYTES;
    index.points.set(key, points);
    index.bytes += bytes;
    if (this.indexes.get(path) !== index) return;
    this.bytes += bytes;
    this.evict();
  }

  private insert({ path }: IndexSource, index: CachedIndex): CachedIndex {
    this.forget(path);
    this.indexes.set(path, index);
    this.bytes += index.bytes;
    this.evict();
    return index;
  }

  private evict(): void {
    for (const path of this.indexes.keys()) {
      if (this.bytes <= this.bytesMax) return;
      this.forget(path);
    }
  }

  /** An index that cannot be read counts as missing: it holds nothing that the entries do not. */
  private withFile<T>(path: string, use: (fd: number) => T): T | undefined {
    let fd: number;
    try {
      fd = this.storage.open(path, "read");
    } catch {
      return undefined;
    }
    try {
      return use(fd);
    } catch {
      return undefined;
    } finally {
      this.storage.close(fd);
    }
  }

  /** Whole words up to the file's end at most. */
  private readWords(fd: number, position: number, length: number): Int32Array {
    const available = Math.min(length, Math.max(0, this.storage.size(fd) - position));
    const bytes = new Uint8Array(available & ~3);
    const read = readFully(this.storage, fd, bytes, 0, bytes.length, position);
    return new Int32Array(bytes.buffer, 0, read >> 2);
  }
}

function unusable({ endPosition }: IndexSource): CachedIndex {
  return { endPosition, table: undefined, partitionCount: 0, points: new Map(), bytes: OVERHEAD_BYTES };
}

/** As an int32, to compare with a stored word. */
function checksum(words: Int32Array): number {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return crc32(bytes, 0, bytes.length) | 0;
}
