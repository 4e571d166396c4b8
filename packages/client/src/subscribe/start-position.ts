import type { SubscribeFrom as WireFrom } from "@millrace/protocol";
import { MillraceError } from "@millrace/protocol";
import type { PartitionPosition, SubscribeFrom } from "../api/subscription.ts";

/** Positions that the application brought; an absent logEpoch is looked up first. */
export interface OwnPositions {
  readonly topicId: number | undefined;
  readonly positions: readonly PartitionPosition[];
}

/** Where a subscription begins, checked. */
export interface StartPosition {
  /** What SUBSCRIBE says the first time; undefined with own positions. */
  readonly wire: WireFrom | undefined;
  readonly own: OwnPositions | undefined;
  /** undefined: all. */
  readonly partitions: readonly number[] | undefined;
}

/**
 * Checks `from` and `partitions` of a subscription.
 * @throws MillraceError INVALID_FROM
 */
export function startPositionOf(
  from: SubscribeFrom,
  partitions: readonly number[] | undefined,
): StartPosition {
  for (const partition of partitions ?? []) checkCount("partition", partition);
  if (partitions?.length === 0) refuse("partitions must not be empty: leave the option out for all of them");
  if (from === "earliest" || from === "latest") return { wire: { kind: from }, own: undefined, partitions };
  if (typeof from !== "object" || from === null)
    return refuse(`from is not a start position: ${String(from)}`);
  if ("time" in from) {
    const timeMs = from.time instanceof Date ? from.time.getTime() : from.time;
    checkCount("time", Math.floor(timeMs));
    return { wire: { kind: "time", timeMs: Math.floor(timeMs) }, own: undefined, partitions };
  }
  if ("offsets" in from) {
    const all = positionsOf(from.offsets);
    const positions =
      partitions === undefined ? all : all.filter(({ partition }) => partitions.includes(partition));
    if (positions.length === 0) refuse("from.offsets states no partition that is subscribed to");
    return {
      wire: undefined,
      own: { topicId: from.topicId, positions },
      partitions: positions.map(({ partition }) => partition),
    };
  }
  const { offset, partition } = from;
  checkCount("offset", offset);
  if (partition === undefined) return { wire: { kind: "offset", offset }, own: undefined, partitions };
  checkCount("partition", partition);
  if (partitions !== undefined && (partitions.length !== 1 || partitions[0] !== partition)) {
    refuse(`from names partition ${partition}, partitions names others`);
  }
  return { wire: { kind: "offset", offset }, own: undefined, partitions: [partition] };
}

type Offsets = Extract<SubscribeFrom, { offsets: unknown }>["offsets"];

function positionsOf(offsets: Offsets): PartitionPosition[] {
  const positions: PartitionPosition[] = [];
  if (Array.isArray(offsets)) positions.push(...(offsets as readonly PartitionPosition[]));
  else {
    const entries = offsets instanceof Map ? offsets.entries() : Object.entries(offsets);
    for (const [partition, offset] of entries as Iterable<[number | string, number]>) {
      positions.push({ partition: Number(partition), offset });
    }
  }
  for (const { partition, offset } of positions) {
    checkCount("partition", partition);
    checkCount("offset", offset);
  }
  return positions;
}

function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    refuse(`${name} must be an integer of 0..2^53-1: ${name}=${value}`);
}

function refuse(message: string): never {
  throw new MillraceError("INVALID_FROM", message);
}
