import { parseSegmentFileName, type SegmentName, segmentFileName, segmentSeed } from "./segment-layout.ts";
import type { ScannedSegment } from "./segment-scan.ts";

/** A segment that is part of the journal. */
export interface LiveSegment extends ScannedSegment {
  readonly fileName: string;
  /** From its header; undefined while that was not read, or when its bytes are not a header. */
  syncedPosition: number | undefined;
}

/**
 * The segments that make up the journal, by position. Where a newer epoch begins, the older ones have ended: what they hold
 * there was cut off when the newer owner took over, or written by somebody who did not know.
 *
 * @param names all names in the folder.
 */
export function chainSegments(
  names: readonly string[],
  directory: string,
  journalId: number,
): { live: LiveSegment[]; dead: SegmentName[] } {
  const segments: SegmentName[] = [];
  for (const name of names) {
    const segment = parseSegmentFileName(name);
    if (segment !== undefined) segments.push(segment);
  }
  segments.sort((a, b) => b.epoch - a.epoch || b.basePosition - a.basePosition);
  const live: SegmentName[] = [];
  const dead: SegmentName[] = [];
  let epoch = -1;
  // Where newer epochs begin, without and with the one that is looked at.
  let cut = Number.POSITIVE_INFINITY;
  let nextCut = Number.POSITIVE_INFINITY;
  for (const segment of segments) {
    if (segment.epoch !== epoch) {
      cut = nextCut;
      epoch = segment.epoch;
    }
    nextCut = Math.min(nextCut, segment.basePosition);
    if (segment.basePosition < cut) live.push(segment);
    else dead.push(segment);
  }
  live.sort((a, b) => a.basePosition - b.basePosition);
  return { live: live.map((name) => liveSegment(name, directory, journalId)), dead };
}

function liveSegment(
  { basePosition, epoch }: SegmentName,
  directory: string,
  journalId: number,
): LiveSegment {
  const fileName = segmentFileName(basePosition, epoch);
  return {
    fileName,
    path: `${directory}/${fileName}`,
    basePosition,
    epoch,
    seed: segmentSeed(journalId, basePosition, epoch),
    syncedPosition: undefined,
  };
}
