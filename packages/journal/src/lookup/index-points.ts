import { JOURNAL_LIMITS } from "../limits.ts";

/**
 * Where the entries of one partition stand in one segment, sparse: a *point* covers a stretch of the segment that
 * begins and ends with entries of the partition. Points are four uint32 each, in this order, also in files:
 *
 *     | offset - firstOffset | position - base of the segment | bytes of the stretch | time - firstTime |
 *
 * The time is that of the first entry, in ms, and stays at its greatest value when the difference is larger.
 */
export const POINT_WORDS = 4;
export const POINT_BYTES: number = POINT_WORDS * 4;
export const POINT_OFFSET = 0;
export const POINT_POSITION = 1;
export const POINT_LENGTH = 2;
export const POINT_TIME = 3;
export const POINT_TIME_MAX = 0xffff_ffff;

const INITIAL_POINTS = 4;
const UINT32_MAX = 0xffff_ffff;

/** The points of one partition in one segment, growing while the segment is written. */
export class IndexPoints {
  firstOffset = 0;
  /** One past the last offset. */
  endOffset = 0;
  /** Append times of the first and last entry, ms since 1970. */
  firstTime = 0;
  lastTime = 0;
  /** Of the entries, with the alignment behind each. */
  bytes = 0;
  count = 0;
  words: Uint32Array = new Uint32Array(INITIAL_POINTS * POINT_WORDS);
  /** Only entries of the partition in the last point so far. */
  private dense = false;

  /**
   * Adds the partition's next entry.
   * @param position from the segment's base; `bytes` with the alignment behind the entry.
   */
  add(baseOffset: number, count: number, timeMs: number, position: number, bytes: number): void {
    this.bytes += bytes;
    if (this.count === 0) {
      this.firstOffset = baseOffset;
      this.firstTime = timeMs;
    } else if (this.extend(position, bytes)) {
      this.endOffset = baseOffset + count;
      this.lastTime = timeMs;
      return;
    }
    const offsetDelta = baseOffset - this.firstOffset;
    if (!(offsetDelta >= 0 && offsetDelta <= UINT32_MAX)) {
      throw new RangeError(
        `offset is out of a segment's range: offset=${baseOffset} firstOffset=${this.firstOffset}`,
      );
    }
    const at = this.count * POINT_WORDS;
    if (at === this.words.length) this.grow();
    const words = this.words;
    words[at + POINT_OFFSET] = offsetDelta;
    words[at + POINT_POSITION] = position;
    words[at + POINT_LENGTH] = bytes;
    words[at + POINT_TIME] = Math.min(POINT_TIME_MAX, Math.max(0, timeMs - this.firstTime));
    this.count++;
    this.dense = true;
    this.endOffset = baseOffset + count;
    this.lastTime = timeMs;
  }

  /** The last point that begins at or before the offset, or 0. */
  findOffset(offset: number): number {
    return findPoint(this.words, this.count, POINT_OFFSET, offset - this.firstOffset + 1);
  }

  /** The point in which the first entry at or after the time is, or behind which it begins. */
  findTime(timeMs: number): number {
    return findPoint(this.words, this.count, POINT_TIME, timePivot(timeMs - this.firstTime));
  }

  /** Append time of the first entry of a point. */
  timeAt(point: number): number {
    return this.firstTime + (this.words[point * POINT_WORDS + POINT_TIME] as number);
  }

  /** The points as words, in use until the next `add`. */
  used(): Uint32Array {
    return this.words.subarray(0, this.count * POINT_WORDS);
  }

  /** Takes over points that were stored. */
  restore(words: Uint32Array): void {
    this.words = words;
    this.count = words.length / POINT_WORDS;
    // Nobody stored whether the last point is dense; a new entry begins a point of its own when it is large.
    this.dense = false;
  }

  /** Lets the entry join the last point: 64 KiB of nothing but the partition, or a short stretch with others between. */
  private extend(position: number, bytes: number): boolean {
    const at = (this.count - 1) * POINT_WORDS;
    const words = this.words;
    const start = words[at + POINT_POSITION] as number;
    const length = words[at + POINT_LENGTH] as number;
    const span = position + bytes - start;
    const follows = start + length === position;
    const dense = this.dense && follows;
    if (span > (dense ? JOURNAL_LIMITS.pointBytesMax : JOURNAL_LIMITS.sparsePointBytesMax)) return false;
    words[at + POINT_LENGTH] = span;
    this.dense = dense;
    return true;
  }

  private grow(): void {
    const words = new Uint32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
  }
}

/**
 * The last point whose field is below `pivot`, or 0 when none is: fields do not decrease.
 */
export function findPoint(words: Uint32Array, count: number, field: number, pivot: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((words[middle * POINT_WORDS + field] as number) < pivot) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : low - 1;
}

/** Times that are too far apart for a point all count as the greatest, so the search must begin before those. */
export function timePivot(deltaMs: number): number {
  return Math.min(deltaMs, POINT_TIME_MAX);
}
