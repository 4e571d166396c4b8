import { checksumWords } from "../entry/header-checksum.ts";
import {
  POINT_BYTES,
  POINT_LENGTH,
  POINT_OFFSET,
  POINT_POSITION,
  POINT_TIME,
  POINT_TIME_MAX,
  POINT_WORDS,
} from "../lookup/index-points.ts";
import {
  decodeSidecarHeader,
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
  type SidecarHeader,
  type SidecarPartition,
  sidecarPartitionAt,
} from "../lookup/sidecar-layout.ts";
import { totalKey } from "./partition-totals.ts";

/** What is wrong with an index. The position is that of a byte of the index. */
export interface IndexProblem {
  readonly position: number;
  readonly sentence: string;
}

/** What the index of a file has to say about the file. */
export interface ExpectedIndex {
  readonly epoch: number | undefined;
  readonly basePosition: number;
  readonly endPosition: number | undefined;
}

interface Cursor {
  readonly row: SidecarPartition;
  /** Where the row stands in the index. */
  readonly position: number;
  /** The point that the last entry is in; -1 = none was seen. */
  point: number;
  lastEnd: number;
  endOffset: number;
  lastTime: number;
  bytes: number;
}

/** Compares an index, a sidecar or a footer, with the entries that it leads to. */
export class IndexCheck {
  /** The first thing that was found wrong. */
  problem: IndexProblem | undefined;
  readonly header: SidecarHeader | undefined;
  private readonly words: Int32Array;
  private readonly cursors: Map<number, Cursor> = new Map();

  /** @param bytes of the whole index; they begin with their buffer. */
  constructor(bytes: Uint8Array, expected: ExpectedIndex) {
    this.words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
    this.header = decodeSidecarHeader(this.words);
    if (this.header === undefined) this.report(0, "the index's header is damaged");
    else this.readTable(this.header, bytes.length, expected);
  }

  /** Takes the file's next batch. @param at from the file's start. @param size with the alignment behind it. */
  entry(
    topicId: number,
    partition: number,
    baseOffset: number,
    count: number,
    time: number,
    at: number,
    size: number,
  ): void {
    if (this.problem !== undefined) return;
    const cursor = this.cursors.get(totalKey(topicId, partition));
    if (cursor === undefined) {
      this.report(SIDECAR_HEADER_BYTES, `the index lacks topic ${topicId} partition ${partition}`);
      return;
    }
    const next = cursor.point + 1;
    if (next < cursor.row.pointCount && this.pointField(cursor, next, POINT_POSITION) === at) {
      this.enterPoint(cursor, next, baseOffset, time);
    } else if (cursor.point < 0 || at + size > this.pointEnd(cursor)) {
      this.reportRow(cursor, `no point leads to its entry at byte ${at}`);
    }
    cursor.lastEnd = at + size;
    cursor.endOffset = baseOffset + count;
    cursor.lastTime = time;
    cursor.bytes += size;
  }

  /** There are no more entries. */
  finish(): void {
    for (const cursor of this.cursors.values()) {
      if (this.problem !== undefined) return;
      const { row } = cursor;
      if (cursor.point !== row.pointCount - 1) this.reportRow(cursor, "a point leads to no entry of it");
      else if (row.pointCount > 0 && cursor.lastEnd !== this.pointEnd(cursor)) {
        this.reportRow(cursor, "its last point does not end with an entry");
      } else if (
        cursor.endOffset !== row.endOffset ||
        cursor.lastTime !== row.lastTime ||
        cursor.bytes !== row.bytes
      ) {
        this.reportRow(cursor, "its end offset, last time or bytes are not those of the entries");
      }
    }
  }

  private readTable(header: SidecarHeader, length: number, expected: ExpectedIndex): void {
    const { basePosition, endPosition, epoch } = expected;
    if (
      header.basePosition !== basePosition ||
      (endPosition !== undefined && header.endPosition !== endPosition) ||
      (epoch !== undefined && header.epoch !== epoch)
    ) {
      this.report(0, "the index belongs to another file");
      return;
    }
    const tableEnd = SIDECAR_HEADER_BYTES + header.partitionCount * SIDECAR_PARTITION_BYTES;
    if (tableEnd > length) {
      this.report(length, "the index ends inside its table");
      return;
    }
    const tableWord = SIDECAR_HEADER_BYTES >> 2;
    const table = this.words.subarray(tableWord, tableEnd >> 2);
    if (checksumWords(table, 0, table.length, 0) !== header.tableCrc) {
      this.report(SIDECAR_HEADER_BYTES, "the index's table is damaged");
      return;
    }
    let pointsAt = tableEnd;
    let previous = -1;
    for (let i = 0; i < header.partitionCount && this.problem === undefined; i++) {
      const row = sidecarPartitionAt(table, i);
      const key = totalKey(row.topicId, row.partition);
      const position = SIDECAR_HEADER_BYTES + i * SIDECAR_PARTITION_BYTES;
      if (key <= previous || row.pointsAt !== pointsAt || row.pointCount === 0) {
        this.report(position, "the rows of the index's table do not follow each other");
        return;
      }
      previous = key;
      pointsAt += row.pointCount * POINT_BYTES;
      this.readPoints(row, position, pointsAt <= length);
    }
    if (this.problem === undefined && pointsAt !== length) {
      this.report(Math.min(pointsAt, length), "the index is longer or shorter than its points");
    }
  }

  private readPoints(row: SidecarPartition, position: number, isThere: boolean): void {
    if (!isThere) {
      this.report(this.words.byteLength, "the index ends inside its points");
      return;
    }
    if (checksumWords(this.words, row.pointsAt >> 2, row.pointCount * POINT_WORDS, 0) !== row.pointsCrc) {
      this.report(row.pointsAt, `the points of topic ${row.topicId} partition ${row.partition} are damaged`);
      return;
    }
    this.cursors.set(totalKey(row.topicId, row.partition), {
      row,
      position,
      point: -1,
      lastEnd: 0,
      endOffset: 0,
      lastTime: 0,
      bytes: 0,
    });
  }

  /** An entry begins where the point does. */
  private enterPoint(cursor: Cursor, point: number, baseOffset: number, time: number): void {
    const { row } = cursor;
    if (point > 0 && cursor.lastEnd !== this.pointEnd(cursor)) {
      this.reportRow(cursor, `point ${point - 1} does not end with an entry`);
    }
    cursor.point = point;
    const timeDelta = Math.min(POINT_TIME_MAX, Math.max(0, time - row.firstTime));
    const isFirstRight = point > 0 || (baseOffset === row.firstOffset && time === row.firstTime);
    if (
      !isFirstRight ||
      this.pointField(cursor, point, POINT_OFFSET) !== baseOffset - row.firstOffset ||
      this.pointField(cursor, point, POINT_TIME) !== timeDelta
    ) {
      this.reportRow(cursor, `point ${point} states another offset or time than its entry`);
    }
  }

  private pointEnd(cursor: Cursor): number {
    const { point } = cursor;
    return this.pointField(cursor, point, POINT_POSITION) + this.pointField(cursor, point, POINT_LENGTH);
  }

  private pointField({ row }: Cursor, point: number, field: number): number {
    return (this.words[(row.pointsAt >> 2) + point * POINT_WORDS + field] as number) >>> 0;
  }

  private reportRow({ row, position }: Cursor, sentence: string): void {
    this.report(position, `topic ${row.topicId} partition ${row.partition}: ${sentence}`);
  }

  private report(position: number, sentence: string): void {
    this.problem ??= { position, sentence };
  }
}
