import { alignEntry } from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { type IndexPoints, POINT_LENGTH, POINT_POSITION, POINT_WORDS } from "./index-points.ts";
import { type OpenSegment, PartitionIndex } from "./partition-index.ts";
import { TopicTally } from "./topic-tally.ts";

/** A segment with a durable sidecar that is not settled. */
export interface SealedSegment {
  readonly basePosition: number;
  readonly epoch: number;
  readonly endPosition: number;
  /** It is of one topic, whose entries lie so close together that it is probably fit to be adopted. */
  readonly dense: boolean;
  /** Monotonic; 0 when it was recovered. */
  readonly sealedAtMs: number;
}

/**
 * Where a reader finds a partition's entries from some offset or time on. Plain data: travels between threads.
 * Positions are those of the journal.
 */
export interface JournalLocation {
  readonly segmentBase: number;
  readonly segmentEpoch: number;
  /** True: the points are in the segment's sidecar, and position and length are those of the segment's entries. */
  readonly sealed: boolean;
  /** Where the first stretch begins, and its bytes. */
  readonly position: number;
  readonly length: number;
  /** Unsealed: all stretches as position, length, position, length, … in order. Sealed: empty. */
  readonly extents: readonly number[];
}

const NO_EXTENTS: readonly number[] = [];

/**
 * The index of the journal's unsettled part: for each partition the sealed segments it has entries in, and points into the
 * segments whose sidecars are not durable yet. Settled files carry their own; of them it knows only how many bytes they hold
 * of each partition. Shard thread only.
 */
export class JournalIndex {
  private readonly topics: Map<number, PartitionIndex[]> = new Map();
  private readonly sealed: SealedSegment[] = [];
  /** Number of the first of them: sealed segments are numbered through, and the oldest leave when they are settled. */
  private sealedStart = 0;
  private readonly open: OpenSegment[] = [];
  private active: OpenSegment | undefined;
  // The last partition added to: entries of one partition come in runs.
  private lastTopicId = -1;
  private lastPartition = -1;
  private last: PartitionIndex | undefined;

  /**
   * Adds a staged batch; the shard calls it after each `stage`, in order.
   * @param position what `stage` returned; `length` of the entry, header and payload.
   */
  add(
    topicId: number,
    partition: number,
    baseOffset: number,
    count: number,
    timeMs: number,
    position: number,
    length: number,
  ): void {
    let index = this.last;
    if (topicId !== this.lastTopicId || partition !== this.lastPartition || index === undefined) {
      index = this.partitionIndex(topicId, partition);
      this.lastTopicId = topicId;
      this.lastPartition = partition;
      this.last = index;
    }
    const active = this.active;
    if (active === undefined) throw new Error("nothing is staged, so there is no entry to index");
    const points = index.pointsIn(active);
    points.add(baseOffset, count, timeMs, position - active.basePosition, alignEntry(length));
  }

  /**
   * Where the entry that holds `offset` is, or the first one behind a gap there.
   * @returns undefined when no unsettled entry is at or behind the offset.
   */
  locate(
    topicId: number,
    partition: number,
    offset: number,
    extentsMax: number = JOURNAL_LIMITS.locationExtentsMax,
  ): JournalLocation | undefined {
    const index = this.find(topicId, partition);
    if (index === undefined) return undefined;
    // Nearly all cold reads follow each other, so a search from the newest segment on needs no more care than this.
    const sealed = findSealed(index, index.sealedFirstOffset, offset + 1);
    for (let at = sealed; at < index.sealedCount; at++) {
      if (offset < index.sealedEndOffset(at)) return this.sealedLocation(index, at);
    }
    for (let i = 0; i < index.points.length; i++) {
      const points = index.points[i] as IndexPoints;
      if (offset >= points.endOffset) continue;
      return openLocation(index.segments[i] as OpenSegment, points, points.findOffset(offset), extentsMax);
    }
    return undefined;
  }

  /**
   * Where the first entry with an append time at or after `timeMs` is, or stands behind: if a reader does not find it
   * there, it is the first entry at or after the reader's `nextOffset`.
   * @returns undefined when the partition has no unsettled entries.
   */
  locateTime(
    topicId: number,
    partition: number,
    timeMs: number,
    extentsMax: number = JOURNAL_LIMITS.locationExtentsMax,
  ): JournalLocation | undefined {
    const index = this.find(topicId, partition);
    if (index === undefined) return undefined;
    // The last place that begins before the time, since entries inside it can be later; or the very first place.
    for (let i = index.points.length - 1; i >= 0; i--) {
      const points = index.points[i] as IndexPoints;
      if (points.firstTime < timeMs || (i === 0 && index.sealedCount === 0)) {
        return openLocation(index.segments[i] as OpenSegment, points, points.findTime(timeMs), extentsMax);
      }
    }
    if (index.sealedCount === 0) return undefined;
    return this.sealedLocation(index, findSealed(index, index.sealedFirstTime, timeMs));
  }

  /**
   * An append time at or before that of the entry that holds `offset`: of the first entry of its stretch, or of its segment
   * once that is sealed.
   * @returns undefined when that entry is settled, or there is none.
   */
  timeBefore(topicId: number, partition: number, offset: number): number | undefined {
    const index = this.find(topicId, partition);
    if (index === undefined) return undefined;
    for (let i = index.points.length - 1; i >= 0; i--) {
      const points = index.points[i] as IndexPoints;
      if (offset >= points.firstOffset) return points.timeAt(points.findOffset(offset));
    }
    if (index.sealedCount === 0 || offset < (index.sealedFirstOffset[0] as number)) return undefined;
    return index.sealedFirstTime[findSealed(index, index.sealedFirstOffset, offset + 1)];
  }

  /** The partition's lowest offset that is not settled, or undefined when all of it is, or it has none. */
  firstOffset(topicId: number, partition: number): number | undefined {
    const index = this.find(topicId, partition);
    if (index === undefined) return undefined;
    return index.sealedCount > 0 ? index.sealedFirstOffset[0] : index.points[0]?.firstOffset;
  }

  /** Bytes of the partition's entries in settled files and in the journal. */
  retainedBytes(topicId: number, partition: number): number {
    const index = this.find(topicId, partition);
    return index === undefined ? 0 : index.settledBytes + index.unsettledBytes;
  }

  /** Of them, those that are not settled. */
  unsettledBytes(topicId: number, partition: number): number {
    return this.find(topicId, partition)?.unsettledBytes ?? 0;
  }

  /** Forgets all partitions of a topic, also what they have in settled files. */
  dropTopic(topicId: number): void {
    const partitions = this.topics.get(topicId);
    if (partitions === undefined) return;
    this.topics.delete(topicId);
    this.last = undefined;
    const dropped = new Set(partitions);
    for (const segment of this.open) {
      const kept = segment.partitions.filter((index) => !dropped.has(index));
      segment.partitions.splice(0, segment.partitions.length, ...kept);
    }
  }

  // The journal's side.

  /** Entries from now on are in this segment; the one before it ends where it begins. Journal only. */
  beginSegment(basePosition: number, epoch: number): OpenSegment {
    this.endSegment(basePosition);
    this.active = { basePosition, epoch, endPosition: undefined, partitions: [] };
    this.open.push(this.active);
    return this.active;
  }

  /** No more entries come into the segment that was begun last. Journal only. */
  endSegment(endPosition: number): void {
    if (this.active !== undefined) this.active.endPosition = endPosition;
    this.active = undefined;
  }

  /** The segment was removed because it holds no entries. Journal only. */
  forgetSegment(segment: OpenSegment): void {
    const at = this.open.indexOf(segment);
    if (at >= 0) this.open.splice(at, 1);
    if (this.active === segment) this.active = undefined;
  }

  /** The oldest ended segment without a durable sidecar. Journal only. */
  oldestUnsealed(): OpenSegment | undefined {
    const oldest = this.open[0];
    return oldest?.endPosition === undefined ? undefined : oldest;
  }

  /** Ended segments whose sidecars are not durable. Journal only. */
  get unsealedCount(): number {
    return this.open.length - (this.active === undefined ? 0 : 1);
  }

  /** The sidecar of the oldest ended segment is durable: its points are dropped. Journal only. */
  sealOldest(nowMs = 0): void {
    const segment = this.oldestUnsealed();
    if (segment === undefined) throw new Error("no segment waits to be sealed");
    this.open.shift();
    const { basePosition, epoch } = segment;
    const endPosition = segment.endPosition as number;
    const dense = isDense(segment);
    const number = this.addSealedSegment({ basePosition, epoch, endPosition, dense, sealedAtMs: nowMs });
    for (const index of segment.partitions) {
      const points = index.points[0] as IndexPoints;
      index.addSealed(number, points.firstOffset, points.endOffset, points.firstTime, points.bytes);
      index.dropPoints(segment);
    }
  }

  /** @returns the segment's number, which `PartitionIndex.addSealed` takes. Journal only. */
  addSealedSegment(segment: SealedSegment): number {
    this.sealed.push(segment);
    return this.sealedEnd - 1;
  }

  /** Segments with durable sidecars that are not settled, oldest first. Journal only. */
  get sealedSegments(): readonly SealedSegment[] {
    return this.sealed;
  }

  /** The number of the first of `sealedSegments`. Journal only. */
  get firstSealed(): number {
    return this.sealedStart;
  }

  /** One past the number of the last sealed segment; never decreases. Journal only. */
  get sealedEnd(): number {
    return this.sealedStart + this.sealed.length;
  }

  /** Everything before the position is settled: forgets those segments. @returns them. Journal only. */
  settleThrough(position: number): SealedSegment[] {
    let count = 0;
    while (count < this.sealed.length && (this.sealed[count] as SealedSegment).endPosition <= position)
      count++;
    if (count === 0) return [];
    const settled = this.sealed.splice(0, count);
    this.sealedStart += count;
    for (const index of this.partitions()) index.dropSealedBelow(this.sealedStart);
    return settled;
  }

  /** Counts bytes that came into settled files (or went). Of a topic that was dropped nothing is known. Journal only. */
  addSettledBytes(topicId: number, partition: number, bytes: number): void {
    const index = this.find(topicId, partition);
    if (index !== undefined) index.settledBytes = Math.max(0, index.settledBytes + bytes);
  }

  /** Segments without, oldest first; the last one may be written to. Journal only. */
  get openSegments(): readonly OpenSegment[] {
    return this.open;
  }

  /** All partitions. Journal only. */
  *partitions(): Generator<PartitionIndex> {
    for (const partitions of this.topics.values()) {
      for (const index of partitions) if (index !== undefined) yield index;
    }
  }

  /** The index of one partition, made when it is new. Journal only. */
  partitionIndex(topicId: number, partition: number): PartitionIndex {
    let partitions = this.topics.get(topicId);
    if (partitions === undefined) {
      partitions = [];
      this.topics.set(topicId, partitions);
    }
    let index = partitions[partition];
    if (index === undefined) {
      index = new PartitionIndex(topicId, partition);
      partitions[partition] = index;
    }
    return index;
  }

  private find(topicId: number, partition: number): PartitionIndex | undefined {
    return this.topics.get(topicId)?.[partition];
  }

  private sealedLocation(index: PartitionIndex, at: number): JournalLocation {
    const segment = this.sealed[(index.sealedSegment[at] as number) - this.sealedStart] as SealedSegment;
    return {
      segmentBase: segment.basePosition,
      segmentEpoch: segment.epoch,
      sealed: true,
      position: segment.basePosition,
      length: segment.endPosition - segment.basePosition,
      extents: NO_EXTENTS,
    };
  }
}

/** The last sealed segment of the partition whose value is below `pivot`, or 0. */
function findSealed(index: PartitionIndex, values: Float64Array, pivot: number): number {
  let low = 0;
  let high = index.sealedCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) < pivot) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : low - 1;
}

/** Whether the stretches of a segment's points are long on the average, and nearly all of one topic. */
function isDense(segment: OpenSegment): boolean {
  const tally = new TopicTally();
  let count = 0;
  for (const index of segment.partitions) {
    const points = index.points[0] as IndexPoints;
    tally.add(index.topicId, points.bytes);
    count += points.count;
  }
  return count > 0 && tally.bytes / count >= JOURNAL_LIMITS.densePointBytes && tally.isOfOneTopic;
}

function openLocation(
  segment: OpenSegment,
  points: IndexPoints,
  first: number,
  extentsMax: number,
): JournalLocation {
  const end = Math.min(points.count, first + extentsMax);
  const extents: number[] = [];
  for (let i = first; i < end; i++) {
    const at = i * POINT_WORDS;
    extents.push(
      segment.basePosition + (points.words[at + POINT_POSITION] as number),
      points.words[at + POINT_LENGTH] as number,
    );
  }
  return {
    segmentBase: segment.basePosition,
    segmentEpoch: segment.epoch,
    sealed: false,
    position: extents[0] as number,
    length: extents[1] as number,
    extents,
  };
}
