import { checkpointFileName } from "../checkpoint/checkpoint-layout.ts";
import type { EntryCheck } from "../entry/entry-check.ts";
import type { LiveSegment } from "../segment/segment-chain.ts";
import { SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import { findSyncedBeyond } from "../segment/segment-scan.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import type { Storage } from "../storage/storage.ts";

/** What is looked through for a proof. */
export interface ProofSources {
  readonly storage: Storage;
  readonly window: SegmentWindow;
  readonly check: EntryCheck;
  readonly segments: readonly LiveSegment[];
  /** Position of the newest checkpoint whose name exists; 0 without one. */
  readonly newestCheckpoint: number;
  /** Of the manifest: the entry there was durable too; 0 without one. */
  readonly settledPosition: number;
  readonly manifestName: string;
}

/**
 * Looks for something that proves that `position`, in the i-th segment, had been durable: a checkpoint beyond it, a manifest
 * that lists it as settled, or a later header, of a segment or of an entry, that names a durable position beyond it. Without one a bad entry there is the
 * tail that a crash tore.
 *
 * @param i -1: before the first segment.
 * @param searchFrom position from which entries of the i-th segment count.
 * @returns what proves it, or undefined.
 */
export function findDurabilityProof(
  sources: ProofSources,
  i: number,
  position: number,
  searchFrom: number,
): string | undefined {
  const { storage, window, check, segments, newestCheckpoint, settledPosition } = sources;
  if (newestCheckpoint > position) return checkpointFileName(newestCheckpoint);
  // A segment is settled only once an entry behind it is durable.
  if (settledPosition > 0 && settledPosition >= position) return sources.manifestName;
  for (let k = Math.max(0, i); k < segments.length; k++) {
    const segment = segments[k] as LiveSegment;
    // A newer epoch in the name proves nothing: names that were not synced are lost in any order, so the segment need not be
    // its epoch's first.
    if (k > i && (segment.syncedPosition ?? 0) > position) return segment.fileName;
    const from = k === i ? searchFrom : segment.basePosition + SEGMENT_HEADER_BYTES;
    const fd = storage.open(segment.path, "read");
    try {
      window.attach(fd);
      if (findSyncedBeyond(window, segment, check, position, from)) {
        return `a later entry in ${segment.fileName}`;
      }
    } finally {
      storage.close(fd);
    }
  }
  return undefined;
}
