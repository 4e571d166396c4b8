import type { PartitionBounds } from "@millrace/broker/internal";
import type { RestorePoint, ResumePosition } from "@millrace/protocol";

/**
 * Where a reader with this position goes on in a log of these bounds, which is another one, or shorter. At its own offset,
 * unless records from some offset on cannot be those that it has seen: then there.
 *
 * Offsets are not given out twice, but for restores: each begins a log of its own, and two of them of the same backup give out
 * the same offsets. What two logs have in common ends where the first restore that only one of them has been through did.
 */
export function resumeOffset(
  position: Omit<ResumePosition, "partition">,
  {
    highWatermark,
    logEpoch,
    restores = [],
  }: Pick<PartitionBounds, "highWatermark" | "logEpoch" | "restores">,
): number {
  const { offset } = position;
  let known = position.restores ?? [];
  // A position that was kept without its restores is of this log if its epoch is one since the last of them.
  const last = restores.at(-1);
  if (
    known.length === 0 &&
    last !== undefined &&
    position.logEpoch >= last[0] &&
    position.logEpoch <= logEpoch
  ) {
    known = restores;
  }
  return Math.min(offset, endOfShared(known, restores), highWatermark);
}

/** The offset from which on two logs differ; Infinity when they are one. */
function endOfShared(a: readonly RestorePoint[], b: readonly RestorePoint[]): number {
  for (let i = 0; ; i += 1) {
    const [ours, theirs] = [a[i], b[i]];
    if (ours === undefined && theirs === undefined) return Number.POSITIVE_INFINITY;
    if (ours?.[0] !== theirs?.[0] || ours?.[1] !== theirs?.[1]) {
      return Math.min(ours?.[1] ?? Number.POSITIVE_INFINITY, theirs?.[1] ?? Number.POSITIVE_INFINITY);
    }
  }
}
