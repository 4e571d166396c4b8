import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readRow, skipRest } from "./element.ts";

/**
 * A restore from a backup that a partition's log has been through: what stood in the backup ended at `endOffset`, and since
 * then the log is one of its own, with log epochs from `logEpoch` on. Of two logs with the same restores one is what the other was.
 */
export type RestorePoint = readonly [logEpoch: number, endOffset: number];

/** The newest that are kept and stated. */
export const RESTORES_MAX = 16;

const POINT_ELEMENTS = 2;

/** `[[logEpoch, endOffset]]`, oldest first. */
export function writeRestores(writer: FrameWriter, restores: readonly RestorePoint[]): void {
  writer.arrayHeader(restores.length);
  for (const [logEpoch, endOffset] of restores) {
    writer.arrayHeader(POINT_ELEMENTS);
    writer.uint(logEpoch);
    writer.uint(endOffset);
  }
}

/** As fields of what has them: none where there are no restores. */
export function readRestores(reader: FrameReader): { restores?: readonly RestorePoint[] } {
  const restores: RestorePoint[] = [];
  for (let left = reader.arrayHeader(RESTORES_MAX); left > 0; left -= 1) {
    const elements = readRow(reader, POINT_ELEMENTS);
    restores.push([reader.uint(), reader.uint()]);
    skipRest(reader, elements, POINT_ELEMENTS);
  }
  return restores.length > 0 ? { restores } : {};
}
