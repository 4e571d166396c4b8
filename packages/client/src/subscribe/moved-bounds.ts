import type { MillraceError } from "@millrace/protocol";

/** What the broker says of one partition when it refuses a resume, as its log is another one or shorter. */
export interface MovedBounds {
  readonly partition: number;
  readonly highWatermark: number;
  readonly logEpoch: number;
  /** Where the reader goes on; undefined: the broker does not say. */
  readonly resumeOffset: number | undefined;
}

/** The rows `[partition, logStartOffset, highWatermark, logEpoch, resumeOffset]` in an error's details. */
export function movedBoundsOf({ details }: MillraceError): MovedBounds[] {
  const rows = Array.isArray(details.bounds) ? (details.bounds as unknown[]) : [];
  return rows.flatMap((row) => {
    const [partition, , highWatermark, logEpoch, resumeOffset] = Array.isArray(row) ? (row as unknown[]) : [];
    if (!isCount(partition) || !isCount(highWatermark) || !isCount(logEpoch)) return [];
    return [
      { partition, highWatermark, logEpoch, resumeOffset: isCount(resumeOffset) ? resumeOffset : undefined },
    ];
  });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
