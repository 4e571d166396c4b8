import {
  findPoint,
  POINT_LENGTH,
  POINT_OFFSET,
  POINT_POSITION,
  POINT_TIME,
  POINT_WORDS,
  timePivot,
} from "../lookup/index-points.ts";
import type { PartitionPoints } from "./file-index-cache.ts";

/** Where in a file to begin: at the point with an offset or a time, or at a file offset where an entry is known to begin. */
export interface Begin {
  readonly by: "offset" | "time" | "place";
  readonly value: number;
}

/** Bytes of stretches beyond what is wanted: the first may begin in front of it. */
const SLACK_BYTES = 131_072;
const STRETCHES_MAX = 256;

/** The point from which on to look. */
export function firstPoint({ words, count, firstOffset, firstTime }: PartitionPoints, begin: Begin): number {
  const { by, value } = begin;
  if (by === "place") return findPoint(words, count, POINT_POSITION, value + 1);
  if (by === "offset") return findPoint(words, count, POINT_OFFSET, value - firstOffset + 1);
  return findPoint(words, count, POINT_TIME, timePivot(value - firstTime));
}

/**
 * Stretches of a file from a point on, as offset and length in turn: so many that they hold `wantedBytes`, if the file has
 * as many. `from` cuts off what stands in front of it.
 */
export function stretchesFrom(
  { words, count }: PartitionPoints,
  first: number,
  wantedBytes: number,
  from: number,
): number[] {
  const stretches: number[] = [];
  let bytes = 0;
  for (let i = first; i < count && stretches.length < 2 * STRETCHES_MAX; i++) {
    if (bytes > wantedBytes + SLACK_BYTES) break;
    const start = words[i * POINT_WORDS + POINT_POSITION] as number;
    const end = start + (words[i * POINT_WORDS + POINT_LENGTH] as number);
    if (end <= from) continue;
    const at = Math.max(start, from);
    stretches.push(at, end - at);
    bytes += end - at;
  }
  return stretches;
}

/** File offset behind the last entry of the partition. */
export function pointsEnd({ words, count }: PartitionPoints): number {
  const last = (count - 1) * POINT_WORDS;
  if (last < 0) return 0;
  return (words[last + POINT_POSITION] as number) + (words[last + POINT_LENGTH] as number);
}
