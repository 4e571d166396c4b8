import { copyBytes } from "@millrace/core";
import { MillraceError } from "@millrace/protocol";
import { DELIVER_ENTRY_HEAD_BYTES, writeDeliverEntryHead } from "@millrace/protocol/internal";
import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import {
  findPoint,
  IndexPoints,
  POINT_LENGTH,
  POINT_OFFSET,
  POINT_POSITION,
  POINT_TIME,
  POINT_WORDS,
  timePivot,
} from "../lookup/index-points.ts";
import type { JournalLocation } from "../lookup/journal-index.ts";
import { SEGMENT_HEADER_BYTES, segmentFileName, sidecarFileName } from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import { errorCodeOf, type Storage } from "../storage/storage.ts";
import { type ReadableSegment, SegmentFileCache } from "./segment-file-cache.ts";
import { type SealedPoints, SidecarCache } from "./sidecar-cache.ts";

/** `read`, `findTime`: bytes on the disk are not what was written; `error` has file and position. */
export const READ_DAMAGED = -1;
/** `read`: not even one entry fits; `neededBytes` says how many bytes the first takes. */
export const READ_NEEDS_ROOM = -2;
/** `read`, `findTime`: the file system failed; `error` says how. Worth another try. */
export const READ_FAILED = -3;
/** `findTime`: no entry there is late enough. The one wanted, if any, is the first at or behind `nextOffset`. */
export const TIME_NOT_FOUND = -4;

/** What to read, as the shard found it in its index. Plain data. */
export interface ColdReadRequest {
  readonly shardId: number;
  readonly topicId: number;
  readonly partition: number;
  /** First offset wanted; an entry that holds it is delivered whole. */
  readonly offset: number;
  /** Entries that reach beyond this offset are not shown (the high watermark). */
  readonly limitOffset: number;
  /** Entries that reach beyond this position are not shown (what is committed, or written). */
  readonly endPosition: number;
  /** Of `offset`, from the shard's index. */
  readonly location: JournalLocation;
}

/** The name of a shard's folder below the folder of all shards. */
export function shardDirectoryName(shardId: number): string {
  return String(shardId).padStart(4, "0");
}

const WINDOW_BYTES = JOURNAL_LIMITS.coldReadBytes;
/** Stretches that lie as close as this are read together. */
const GAP_BYTES_MAX = 4_096;

// What a visit of an entry says.
const GO_ON = 0;
const STOP = 1;

/**
 * Reads what is no longer in a tail cache, for one partition at a time, and checks every byte that it hands out. One
 * thread, not that of a shard.
 */
export class ColdReader {
  /** Entries that the last read delivered. */
  entryCount = 0;
  /** Base offset of the first entry that the last read found, also if it did not fit; -1 when it found none. */
  firstOffset = -1;
  /** Where the next read goes on. */
  nextOffset = 0;
  /** False: limitOffset was reached. True: there may be more below it, so locate `nextOffset` and read again. */
  more = false;
  /** After READ_NEEDS_ROOM. */
  neededBytes = 0;
  /** After READ_DAMAGED and READ_FAILED. */
  error: MillraceError | undefined;

  private readonly shardsDirectory: string;
  private readonly window: SegmentWindow;
  private readonly segments: SegmentFileCache;
  private readonly sidecars: SidecarCache;

  // The read under way.
  private target: Buffer = Buffer.alloc(0);
  private targetAt = 0;
  private targetEnd = 0;
  private timeMs = 0;
  private foundOffset = TIME_NOT_FOUND;
  /** The read met one of the request's limits. */
  private limited = false;

  constructor(storage: Storage, shardsDirectory: string) {
    this.shardsDirectory = shardsDirectory;
    this.window = new SegmentWindow(storage, WINDOW_BYTES);
    this.segments = new SegmentFileCache(storage);
    this.sidecars = new SidecarCache(storage);
  }

  /**
   * Puts consecutive entries into `target` as the entries of a DELIVER frame: head, then stored payload. Sets entryCount,
   * nextOffset and more.
   *
   * @returns the bytes put there, at most maxBytes; 0 when the limits allow no entry; READ_DAMAGED, READ_NEEDS_ROOM,
   * READ_FAILED. After READ_DAMAGED and READ_FAILED nothing of the target counts.
   */
  read(request: ColdReadRequest, target: Buffer, targetStart: number, maxBytes: number): number {
    this.begin(request);
    this.target = target;
    this.targetAt = targetStart;
    this.targetEnd = Math.min(target.length, targetStart + maxBytes);
    const outcome = this.guard(request, () =>
      this.walk(request, this.extents(request, this.offsetPoint), this.deliver),
    );
    if (outcome < 0) return outcome;
    if (this.neededBytes > 0 && this.entryCount === 0) return READ_NEEDS_ROOM;
    if (this.nextOffset >= request.limitOffset) this.more = false;
    return this.targetAt - targetStart;
  }

  /**
   * Finds the first entry that was appended at `timeMs` or later; the request's location comes from `locateTime`.
   * @returns its offset; TIME_NOT_FOUND (with nextOffset, which is limitOffset when a limit was met), READ_DAMAGED,
   * READ_FAILED.
   */
  findTime(request: ColdReadRequest, timeMs: number): number {
    this.begin(request);
    this.timeMs = timeMs;
    this.foundOffset = TIME_NOT_FOUND;
    const outcome = this.guard(request, () =>
      this.walk(request, this.extents(request, this.timePoint), this.compareTime),
    );
    if (outcome === 0 && this.foundOffset < 0 && this.limited) this.nextOffset = request.limitOffset;
    return outcome < 0 ? outcome : this.foundOffset;
  }

  /** Closes all files. */
  close(): void {
    this.segments.close();
  }

  private begin(request: ColdReadRequest): void {
    this.entryCount = 0;
    this.firstOffset = -1;
    this.nextOffset = request.offset;
    this.more = true;
    this.neededBytes = 0;
    this.error = undefined;
    this.limited = false;
  }

  private guard(request: ColdReadRequest, run: () => number): number {
    try {
      return run();
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === undefined) throw error;
      const path = this.path(request);
      this.segments.forget(path);
      this.error = new MillraceError("READ_FAILED", `read failed with ${code}: ${path}`, {
        details: { errno: code, file: path },
        cause: error,
      });
      return READ_FAILED;
    }
  }

  private path({ shardId, location }: ColdReadRequest): string {
    const name = segmentFileName(location.segmentBase, location.segmentEpoch);
    return `${this.shardsDirectory}/${shardDirectoryName(shardId)}/${name}`;
  }

  /** The stretches to read, as position and length in turn: the shard's, or those of the sidecar. */
  private extents(
    request: ColdReadRequest,
    firstPoint: (request: ColdReadRequest, points: SealedPoints) => number,
  ): readonly number[] {
    const { location, shardId, topicId, partition } = request;
    if (!location.sealed) return location.extents;
    const base = location.segmentBase;
    const end = location.position + location.length;
    const name = sidecarFileName(base, location.segmentEpoch);
    const path = `${this.shardsDirectory}/${shardDirectoryName(shardId)}/${name}`;
    let points = this.sidecars.points(path, end, topicId, partition);
    if (points === undefined) {
      points = this.scanPoints(request);
      this.sidecars.put(path, end, topicId, partition, points);
    }
    const extents: number[] = [];
    const first = firstPoint(request, points);
    const last = Math.min(points.count, first + JOURNAL_LIMITS.locationExtentsMax);
    for (let i = first; i < last; i++) {
      const at = i * POINT_WORDS;
      extents.push(
        base + (points.words[at + POINT_POSITION] as number),
        points.words[at + POINT_LENGTH] as number,
      );
    }
    return extents;
  }

  private readonly offsetPoint = (request: ColdReadRequest, points: SealedPoints): number =>
    findPoint(points.words, points.count, POINT_OFFSET, request.offset - points.firstOffset + 1);

  private readonly timePoint = (_: ColdReadRequest, points: SealedPoints): number =>
    findPoint(points.words, points.count, POINT_TIME, timePivot(this.timeMs - points.firstTime));

  /**
   * Visits the partition's entries in the stretches, neighbours read together.
   * @returns 0, or READ_DAMAGED
   */
  private walk(
    request: ColdReadRequest,
    extents: readonly number[],
    visit: (words: Int32Array, bytes: Buffer, index: number, request: ColdReadRequest) => number,
  ): number {
    const base = request.location.segmentBase;
    // What is only staged may not even have a file.
    if (request.location.position >= request.endPosition) return this.stopAtLimit();
    const segment = this.segments.open(this.path(request));
    this.window.attach(segment.fd);
    // The shard's index knows of entries here, so a sidecar or scan that finds none met damage.
    if (segment.seed === undefined || extents.length === 0) return this.damaged(segment, base);
    let i = 0;
    while (i < extents.length) {
      const start = extents[i] as number;
      let end = start + (extents[i + 1] as number);
      for (i += 2; i < extents.length; i += 2) {
        const next = extents[i] as number;
        const nextEnd = next + (extents[i + 1] as number);
        if (next - end > GAP_BYTES_MAX || nextEnd - start > WINDOW_BYTES) break;
        end = nextEnd;
      }
      for (let position = start; position < end; ) {
        const size = this.visitEntry(request, segment, position, end, visit);
        if (size < 0) return size;
        if (size === 0) return 0;
        position += size;
      }
    }
    return 0;
  }

  /** @returns the entry's bytes with alignment; 0 to stop; READ_DAMAGED */
  private visitEntry(
    request: ColdReadRequest,
    segment: ReadableSegment,
    position: number,
    end: number,
    visit: (words: Int32Array, bytes: Buffer, index: number, request: ColdReadRequest) => number,
  ): number {
    const window = this.window;
    const base = request.location.segmentBase;
    // What is not written yet is not at its place: it may be there in a moment.
    if (position + ENTRY_HEADER_BYTES > request.endPosition) return this.stopAtLimit();
    const readEnd = end - base;
    let index = window.load(position - base, ENTRY_HEADER_BYTES, readEnd);
    if (index < 0) return this.damaged(segment, position);
    const word = index >> 2;
    if (!ENTRY_CHECK.header(window.words, word, segment.seed as number))
      return this.damaged(segment, position);
    const length = window.words[word + ENTRY_LENGTH_WORD] as number;
    const size = alignEntry(length);
    // Entries of other partitions can lie between those of this one.
    if (
      window.words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH ||
      readU32(window.words, word + ENTRY_TOPIC_ID_WORD) !== request.topicId ||
      readU32(window.words, word + ENTRY_PARTITION_WORD) !== request.partition
    ) {
      return size;
    }
    const endOffset =
      readU64(window.words, word + ENTRY_BASE_OFFSET_WORD) + readU32(window.words, word + ENTRY_COUNT_WORD);
    if (endOffset <= request.offset) return size;
    if (endOffset > request.limitOffset) {
      this.more = false;
      return this.stopAtLimit();
    }
    if (position + size > request.endPosition) return this.stopAtLimit();
    index = window.load(position - base, length, readEnd);
    if (index < 0 || !ENTRY_CHECK.payload(window.bytes, window.words, index)) {
      return this.damaged(segment, position);
    }
    return visit(window.words, window.bytes, index, request) === STOP ? 0 : size;
  }

  private readonly deliver = (words: Int32Array, bytes: Buffer, index: number): number => {
    const word = index >> 2;
    const payloadBytes = (words[word + ENTRY_LENGTH_WORD] as number) - ENTRY_HEADER_BYTES;
    const at = this.targetAt;
    const needed = DELIVER_ENTRY_HEAD_BYTES + payloadBytes;
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    if (this.firstOffset < 0) this.firstOffset = baseOffset;
    // A gap is reported between frames, never hidden inside one.
    if (this.entryCount > 0 && baseOffset !== this.nextOffset) return STOP;
    if (needed > this.targetEnd - at) {
      this.neededBytes = needed;
      return STOP;
    }
    const count = readU32(words, word + ENTRY_COUNT_WORD);
    writeDeliverEntryHead(this.target, at, baseOffset, count, readU64(words, word + ENTRY_APPEND_TIME_WORD));
    copyBytes(this.target, at + DELIVER_ENTRY_HEAD_BYTES, bytes, index + ENTRY_HEADER_BYTES, payloadBytes);
    this.targetAt = at + needed;
    this.entryCount++;
    this.nextOffset = baseOffset + count;
    return GO_ON;
  };

  private readonly compareTime = (words: Int32Array, _: Buffer, index: number): number => {
    const word = index >> 2;
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    if (readU64(words, word + ENTRY_APPEND_TIME_WORD) >= this.timeMs) {
      this.foundOffset = baseOffset;
      this.nextOffset = baseOffset;
      return STOP;
    }
    this.nextOffset = baseOffset + readU32(words, word + ENTRY_COUNT_WORD);
    return GO_ON;
  };

  /** The segment has no usable sidecar: the partition's points are made from its entries. Slow, and rare. */
  private scanPoints(request: ColdReadRequest): SealedPoints {
    const segment = this.segments.open(this.path(request));
    const { location, topicId, partition } = request;
    const points = new IndexPoints();
    this.window.attach(segment.fd);
    for (let offset = SEGMENT_HEADER_BYTES; segment.seed !== undefined && offset < location.length; ) {
      const index = this.window.load(offset, ENTRY_HEADER_BYTES, location.length);
      const words = this.window.words;
      const word = index >> 2;
      // A bad entry ends the scan here and is reported when somebody reads as far.
      if (index < 0 || !ENTRY_CHECK.header(words, word, segment.seed)) {
        addRest(points, offset, location.length);
        break;
      }
      const size = alignEntry(words[word + ENTRY_LENGTH_WORD] as number);
      if (
        words[word + ENTRY_TYPE_WORD] === ENTRY_TYPE_BATCH &&
        readU32(words, word + ENTRY_TOPIC_ID_WORD) === topicId &&
        readU32(words, word + ENTRY_PARTITION_WORD) === partition
      ) {
        points.add(
          readU64(words, word + ENTRY_BASE_OFFSET_WORD),
          readU32(words, word + ENTRY_COUNT_WORD),
          readU64(words, word + ENTRY_APPEND_TIME_WORD),
          offset,
          size,
        );
      }
      offset += size;
    }
    const { firstOffset, endOffset, firstTime, count } = points;
    return { firstOffset, endOffset, firstTime, count, words: points.used() };
  }

  private stopAtLimit(): number {
    this.limited = true;
    return 0;
  }

  private damaged(segment: ReadableSegment, position: number): number {
    this.segments.forget(segment.path);
    this.error = new MillraceError("JOURNAL_DAMAGED", `bad entry: ${segment.path} position ${position}`, {
      details: { file: segment.path, position },
    });
    return READ_DAMAGED;
  }
}

/** Covers what stands behind a bad entry, so that a read that gets there meets it instead of passing it by. */
function addRest(points: IndexPoints, offset: number, length: number): void {
  points.add(points.endOffset, 1, points.lastTime, offset, length - offset);
}
