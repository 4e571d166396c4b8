import { checksumWords } from "../entry/header-checksum.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { POINT_BYTES, POINT_WORDS } from "../lookup/index-points.ts";
import {
  decodeSidecarHeader,
  findSidecarPartition,
  SIDECAR_FORMAT_VERSION,
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
} from "../lookup/sidecar-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";

/** The points of one partition in one sealed segment. */
export interface SealedPoints {
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly firstTime: number;
  readonly count: number;
  readonly words: Uint32Array;
}

interface CachedSidecar {
  readonly endPosition: number;
  readonly table: Int32Array;
  readonly partitionCount: number;
  /** By topicId and partition. */
  readonly points: Map<string, SealedPoints>;
  bytes: number;
}

/** What a map entry costs besides its words. */
const OVERHEAD_BYTES = 256;

/** Reads sidecars partition by partition and keeps what was used last. One thread. */
export class SidecarCache {
  private readonly storage: Storage;
  /** In the order of their last use. */
  private readonly sidecars: Map<string, CachedSidecar> = new Map();
  private bytes = 0;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  /**
   * The points of a partition, or undefined when the sidecar is missing, damaged, or not that of a segment with this
   * end: then the segment itself has to be read.
   */
  points(path: string, endPosition: number, topicId: number, partition: number): SealedPoints | undefined {
    const key = `${topicId}:${partition}`;
    const sidecar = this.use(path, endPosition) ?? this.load(path, endPosition);
    if (sidecar === undefined) return undefined;
    const known = sidecar.points.get(key);
    if (known !== undefined) return known;
    const points = this.loadPoints(path, sidecar, topicId, partition);
    if (points !== undefined) this.keep(path, sidecar, key, points);
    return points;
  }

  /** Keeps points that were made from the segment itself. */
  put(path: string, endPosition: number, topicId: number, partition: number, points: SealedPoints): void {
    let sidecar = this.sidecars.get(path);
    if (sidecar === undefined || sidecar.endPosition !== endPosition) {
      this.forget(path);
      sidecar = { endPosition, table: NO_TABLE, partitionCount: 0, points: new Map(), bytes: OVERHEAD_BYTES };
      this.insert(path, sidecar);
    }
    this.keep(path, sidecar, `${topicId}:${partition}`, points);
  }

  private use(path: string, endPosition: number): CachedSidecar | undefined {
    const sidecar = this.sidecars.get(path);
    if (sidecar === undefined) return undefined;
    if (sidecar.endPosition !== endPosition) {
      this.forget(path);
      return undefined;
    }
    this.sidecars.delete(path);
    this.sidecars.set(path, sidecar);
    return sidecar;
  }

  private load(path: string, endPosition: number): CachedSidecar | undefined {
    return this.withFile(path, (fd) => {
      const headerWords = this.readWords(fd, 0, SIDECAR_HEADER_BYTES);
      const header = headerWords === undefined ? undefined : decodeSidecarHeader(headerWords);
      if (header === undefined || header.version > SIDECAR_FORMAT_VERSION) return undefined;
      if (header.endPosition !== endPosition) return undefined;
      const tableBytes = header.partitionCount * SIDECAR_PARTITION_BYTES;
      const table = this.readWords(fd, SIDECAR_HEADER_BYTES, tableBytes);
      if (table === undefined || checksumWords(table, 0, table.length, 0) !== header.tableCrc)
        return undefined;
      const { partitionCount } = header;
      const bytes = tableBytes + OVERHEAD_BYTES;
      const sidecar: CachedSidecar = { endPosition, table, partitionCount, points: new Map(), bytes };
      this.insert(path, sidecar);
      return sidecar;
    });
  }

  private loadPoints(
    path: string,
    sidecar: CachedSidecar,
    topicId: number,
    partition: number,
  ): SealedPoints | undefined {
    const found = findSidecarPartition(sidecar.table, sidecar.partitionCount, topicId, partition);
    if (found === undefined || found.pointCount === 0) return undefined;
    const words = this.withFile(path, (fd) =>
      this.readWords(fd, found.pointsAt, found.pointCount * POINT_BYTES),
    );
    if (words === undefined || checksumWords(words, 0, words.length, 0) !== found.pointsCrc) return undefined;
    return {
      firstOffset: found.firstOffset,
      endOffset: found.endOffset,
      firstTime: found.firstTime,
      count: words.length / POINT_WORDS,
      words: new Uint32Array(words.buffer),
    };
  }

  private keep(path: string, sidecar: CachedSidecar, key: string, points: SealedPoints): void {
    const bytes = points.words.byteLength + OVERHEAD_BYTES;
    sidecar.points.set(key, points);
    sidecar.bytes += bytes;
    if (this.sidecars.get(path) !== sidecar) return;
    this.bytes += bytes;
    this.evict();
  }

  private insert(path: string, sidecar: CachedSidecar): void {
    this.sidecars.set(path, sidecar);
    this.bytes += sidecar.bytes;
    this.evict();
  }

  private evict(): void {
    for (const path of this.sidecars.keys()) {
      if (this.bytes <= JOURNAL_LIMITS.coldReaderSidecarBytesMax) return;
      this.forget(path);
    }
  }

  private forget(path: string): void {
    const sidecar = this.sidecars.get(path);
    if (sidecar === undefined) return;
    this.sidecars.delete(path);
    this.bytes -= sidecar.bytes;
  }

  /** A sidecar that cannot be read counts as missing: it holds nothing that the segment does not. */
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

  private readWords(fd: number, position: number, length: number): Int32Array | undefined {
    if (position + length > this.storage.size(fd)) return undefined;
    const bytes = new Uint8Array(length);
    if (readFully(this.storage, fd, bytes, 0, length, position) < length) return undefined;
    return new Int32Array(bytes.buffer);
  }
}

const NO_TABLE = new Int32Array(0);
