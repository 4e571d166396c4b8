import { IndexPoints } from "./index-points.ts";

const INITIAL_SEGMENTS = 4;

/** A segment whose sidecar is not durable yet: its points are in memory. */
export interface OpenSegment {
  readonly basePosition: number;
  readonly epoch: number;
  /** Undefined while the segment is written to. */
  endPosition: number | undefined;
  /** The partitions that have points here. */
  readonly partitions: PartitionIndex[];
}

/** Where the entries of one partition are: 24 bytes a sealed segment, and points for segments without a sidecar. */
export class PartitionIndex {
  readonly topicId: number;
  readonly partition: number;
  /** Points in segments without a durable sidecar, oldest first; `segments` has the segment of each. */
  readonly points: IndexPoints[] = [];
  readonly segments: OpenSegment[] = [];
  /** Sealed segments in which the partition has entries, oldest first. */
  sealedCount = 0;
  /** Index of the segment in the journal's list. */
  sealedSegment: Uint32Array = new Uint32Array(INITIAL_SEGMENTS);
  sealedFirstOffset: Float64Array = new Float64Array(INITIAL_SEGMENTS);
  /** End offset - first offset. */
  sealedSpan: Uint32Array = new Uint32Array(INITIAL_SEGMENTS);
  sealedFirstTime: Float64Array = new Float64Array(INITIAL_SEGMENTS);

  constructor(topicId: number, partition: number) {
    this.topicId = topicId;
    this.partition = partition;
  }

  /** The points of the segment that is written to, made when the partition has none there yet. */
  pointsIn(segment: OpenSegment): IndexPoints {
    const last = this.segments.length - 1;
    if (this.segments[last] === segment) return this.points[last] as IndexPoints;
    const points = new IndexPoints();
    this.points.push(points);
    this.segments.push(segment);
    segment.partitions.push(this);
    return points;
  }

  addSealed(segment: number, firstOffset: number, endOffset: number, firstTime: number): void {
    const at = this.sealedCount;
    if (at === this.sealedSegment.length) this.grow();
    this.sealedSegment[at] = segment;
    this.sealedFirstOffset[at] = firstOffset;
    this.sealedSpan[at] = endOffset - firstOffset;
    this.sealedFirstTime[at] = firstTime;
    this.sealedCount = at + 1;
  }

  sealedEndOffset(at: number): number {
    return (this.sealedFirstOffset[at] as number) + (this.sealedSpan[at] as number);
  }

  /** The sealed segment's sidecar is durable: forget its points. It is always the oldest one. */
  dropPoints(segment: OpenSegment): void {
    if (this.segments[0] !== segment) return;
    this.segments.shift();
    this.points.shift();
  }

  private grow(): void {
    // By a quarter: what the journal keeps for old segments should stay near 24 bytes each.
    const size = this.sealedCount + Math.max(INITIAL_SEGMENTS, this.sealedCount >> 2);
    this.sealedSegment = grown(new Uint32Array(size), this.sealedSegment);
    this.sealedFirstOffset = grown(new Float64Array(size), this.sealedFirstOffset);
    this.sealedSpan = grown(new Uint32Array(size), this.sealedSpan);
    this.sealedFirstTime = grown(new Float64Array(size), this.sealedFirstTime);
  }
}

function grown<T extends Uint32Array | Float64Array>(target: T, source: T): T {
  target.set(source);
  return target;
}
