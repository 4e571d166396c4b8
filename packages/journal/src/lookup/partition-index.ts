import { IndexPoints } from "./index-points.ts";

const INITIAL_SEGMENTS = 4;
/** Most partitions have no sealed segment most of the time. */
const NO_UINTS = new Uint32Array(0);
const NO_FLOATS = new Float64Array(0);
const NO_POINTS: readonly IndexPoints[] = [];
const NO_SEGMENTS: readonly OpenSegment[] = [];

/** A segment whose sidecar is not durable yet: its points are in memory. */
export interface OpenSegment {
  readonly basePosition: number;
  readonly epoch: number;
  /** Undefined while the segment is written to. */
  endPosition: number | undefined;
  /** The partitions that have points here. */
  readonly partitions: PartitionIndex[];
}

/**
 * Where the unsettled entries of one partition are: 28 bytes a sealed segment, and points for segments without a sidecar;
 * and how much of it is settled.
 */
export class PartitionIndex {
  readonly topicId: number;
  readonly partition: number;
  /** Points in segments without a durable sidecar, oldest first; `segments` has the segment of each. */
  points: readonly IndexPoints[] = NO_POINTS;
  segments: readonly OpenSegment[] = NO_SEGMENTS;
  /** Sealed segments in which the partition has entries, oldest first. */
  sealedCount = 0;
  /** Numbers of the segments, see `JournalIndex.sealedSegment`. */
  sealedSegment: Uint32Array = NO_UINTS;
  sealedFirstOffset: Float64Array = NO_FLOATS;
  /** End offset - first offset. */
  sealedSpan: Uint32Array = NO_UINTS;
  sealedFirstTime: Float64Array = NO_FLOATS;
  /** Of the entries, with the alignment behind each. */
  sealedBytes: Uint32Array = NO_UINTS;
  /** Bytes of entries in settled files. */
  settledBytes = 0;

  constructor(topicId: number, partition: number) {
    this.topicId = topicId;
    this.partition = partition;
  }

  /** The points of the segment that is written to, made when the partition has none there yet. */
  pointsIn(segment: OpenSegment): IndexPoints {
    const last = this.segments.length - 1;
    if (this.segments[last] === segment) return this.points[last] as IndexPoints;
    const points = new IndexPoints();
    // As long as they have to be: a push or spread makes room for seventeen, and most partitions have one.
    this.points = last < 0 ? [points] : [...this.points, points];
    this.segments = last < 0 ? [segment] : [...this.segments, segment];
    segment.partitions.push(this);
    return points;
  }

  addSealed(segment: number, firstOffset: number, endOffset: number, firstTime: number, bytes: number): void {
    const at = this.sealedCount;
    if (at === this.sealedSegment.length) this.grow();
    this.sealedSegment[at] = segment;
    this.sealedFirstOffset[at] = firstOffset;
    this.sealedSpan[at] = endOffset - firstOffset;
    this.sealedFirstTime[at] = firstTime;
    this.sealedBytes[at] = bytes;
    this.sealedCount = at + 1;
  }

  sealedEndOffset(at: number): number {
    return (this.sealedFirstOffset[at] as number) + (this.sealedSpan[at] as number);
  }

  /** Bytes of entries that are not in settled files. */
  get unsettledBytes(): number {
    let bytes = 0;
    for (let at = 0; at < this.sealedCount; at++) bytes += this.sealedBytes[at] as number;
    for (const points of this.points) bytes += points.bytes;
    return bytes;
  }

  /** Forgets the sealed segments with numbers below this one. */
  dropSealedBelow(segment: number): void {
    const count = this.sealedCount;
    let dropped = 0;
    while (dropped < count && (this.sealedSegment[dropped] as number) < segment) dropped++;
    if (dropped === 0) return;
    this.sealedCount = count - dropped;
    if (this.sealedCount === 0 && count > INITIAL_SEGMENTS) {
      this.resize(0);
      return;
    }
    this.sealedSegment.copyWithin(0, dropped, count);
    this.sealedFirstOffset.copyWithin(0, dropped, count);
    this.sealedSpan.copyWithin(0, dropped, count);
    this.sealedFirstTime.copyWithin(0, dropped, count);
    this.sealedBytes.copyWithin(0, dropped, count);
  }

  /** The sealed segment's sidecar is durable: forget its points. It is always the oldest one. */
  dropPoints(segment: OpenSegment): void {
    if (this.segments[0] !== segment) return;
    this.segments = this.segments.length === 1 ? NO_SEGMENTS : this.segments.slice(1);
    this.points = this.points.length === 1 ? NO_POINTS : this.points.slice(1);
  }

  private grow(): void {
    // By a quarter: what the journal keeps for old segments should stay near 28 bytes each.
    this.resize(this.sealedCount + Math.max(INITIAL_SEGMENTS, this.sealedCount >> 2));
  }

  private resize(size: number): void {
    this.sealedSegment = resized(new Uint32Array(size), this.sealedSegment);
    this.sealedFirstOffset = resized(new Float64Array(size), this.sealedFirstOffset);
    this.sealedSpan = resized(new Uint32Array(size), this.sealedSpan);
    this.sealedFirstTime = resized(new Float64Array(size), this.sealedFirstTime);
    this.sealedBytes = resized(new Uint32Array(size), this.sealedBytes);
  }
}

function resized<T extends Uint32Array | Float64Array>(target: T, source: T): T {
  target.set(source.subarray(0, target.length));
  return target;
}
