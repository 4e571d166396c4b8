import { MillraceError } from "@millrace/protocol";
import type { PartitionBounds } from "./topic.ts";

/** The refusal of an offset that the partition does not have; its details hold the bounds. */
export function offsetOutOfRange(
  topicId: number,
  bounds: Omit<PartitionBounds, "retainedBytes">,
  offset: number,
): MillraceError {
  const { partition, logStartOffset, highWatermark, logEpoch } = bounds;
  return new MillraceError(
    "OFFSET_OUT_OF_RANGE",
    `partition ${partition} has offsets ${logStartOffset} to ${highWatermark}, not ${offset}`,
    {
      details: {
        topicId,
        bounds: [[partition, logStartOffset, highWatermark, logEpoch]],
        partition,
        offset,
      },
    },
  );
}
