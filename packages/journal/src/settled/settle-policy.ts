import { JOURNAL_LIMITS } from "../limits.ts";
import type { SealedSegment } from "../lookup/journal-index.ts";

/** When segments are settled. What is absent takes the usual value. */
export interface SettlingOptions {
  /** Segments that are not dense are settled when so many bytes of them wait … Default: about four segments. */
  readonly batchBytes?: number;
  /** … or when the oldest has waited so long. ms; default 30 000. */
  readonly afterMs?: number;
  /** A segment below this size is sorted together with its neighbours. Default: a quarter of a segment. */
  readonly adoptBytesMin?: number;
  /** A settled file is rewritten when less than half of it lives, if that frees so many bytes. Default: a 16th of a segment. */
  readonly rewriteDeadBytesMin?: number;
}

/** The same with the usual values filled in. */
export type SettlingPolicy = Required<SettlingOptions>;

export function settlingPolicy(options: SettlingOptions, segmentSizeBytes: number): SettlingPolicy {
  return {
    // Segments are never quite full.
    batchBytes: options.batchBytes ?? segmentSizeBytes * (JOURNAL_LIMITS.settleBatchSegments - 1 / 2),
    afterMs: options.afterMs ?? JOURNAL_LIMITS.settleAfterMs,
    adoptBytesMin: options.adoptBytesMin ?? segmentSizeBytes / 4,
    rewriteDeadBytesMin: options.rewriteDeadBytesMin ?? segmentSizeBytes / JOURNAL_LIMITS.rewriteDeadPart,
  };
}

/**
 * How many of the oldest sealed segments to settle now: those that are dense at once, others when enough of them wait. Only
 * segments behind which something is committed, so that recovery never ends the journal in a settled one.
 *
 * @param sealed oldest first.
 * @returns 0 when nothing is due.
 */
export function segmentsDue(
  sealed: readonly SealedSegment[],
  committedPosition: number,
  nowMs: number,
  policy: SettlingPolicy,
): number {
  const oldest = sealed[0];
  if (oldest === undefined || oldest.endPosition >= committedPosition) return 0;
  let ready = 0;
  let bytes = 0;
  let dense = 0;
  let isFull = false;
  for (const segment of sealed) {
    if (segment.endPosition >= committedPosition || ready === JOURNAL_LIMITS.settleSegmentsMax) break;
    const size = segment.endPosition - segment.basePosition;
    isFull = ready > 0 && bytes + size > JOURNAL_LIMITS.settleBytesMax;
    if (isFull) break;
    if (segment.dense && dense === ready) dense++;
    ready++;
    bytes += size;
  }
  if (dense > 0) return dense;
  return isFull || bytes >= policy.batchBytes || nowMs - oldest.sealedAtMs >= policy.afterMs ? ready : 0;
}

/** Bytes per second for a job while so many bytes wait to be settled; 0 = as fast as it goes. */
export function settlingPace(backlogBytes: number, segmentSizeBytes: number): number {
  const segments = Math.ceil(backlogBytes / segmentSizeBytes);
  if (segments >= JOURNAL_LIMITS.settleUnlimitedSegments) return 0;
  return JOURNAL_LIMITS.settleBytesPerSecond * 2 ** Math.max(0, segments - 1);
}
