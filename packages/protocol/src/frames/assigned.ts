import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";
import { type RestorePoint, readRestores, writeRestores } from "./restores.ts";

/** A partition that a stream consumer has got. */
export interface AssignedPartition {
  readonly partition: number;
  /** Raised whenever the partition is given to a member; COMMIT and RELEASE state it. */
  readonly assignmentEpoch: number;
  /** Chosen by the server; DELIVER and PROGRESS name it. */
  readonly streamId: number;
  /** The subscription's cursor: records below it are to be discarded. */
  readonly startOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEpoch: number;
  /** What the log has been through; absent = none. */
  readonly restores?: readonly RestorePoint[] | undefined;
}

/**
 * Server to client: `[66, consumerId, [[partition, assignmentEpoch, streamId, startOffset, logStartOffset, highWatermark,
 * logEpoch, restores]]]`. The stream consumer has these partitions too from now on.
 */
export interface AssignedFrame {
  readonly consumerId: number;
  readonly partitions: readonly AssignedPartition[];
}

const PARTITION_ELEMENTS = 7;

export function encodeAssigned(writer: FrameWriter, frame: AssignedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.ASSIGNED);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.partitions.length);
  for (const assigned of frame.partitions) {
    const { restores = [] } = assigned;
    writer.arrayHeader(PARTITION_ELEMENTS + (restores.length > 0 ? 1 : 0));
    writer.uint(assigned.partition);
    writer.uint(assigned.assignmentEpoch);
    writer.uint(assigned.streamId);
    writer.uint(assigned.startOffset);
    writer.uint(assigned.logStartOffset);
    writer.uint(assigned.highWatermark);
    writer.uint(assigned.logEpoch);
    if (restores.length > 0) writeRestores(writer, restores);
  }
}

export function decodeAssigned(reader: FrameReader): AssignedFrame {
  const consumerId = reader.required("consumerId").uint();
  const partitions: AssignedPartition[] = [];
  for (let left = reader.required("partitions").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, PARTITION_ELEMENTS);
    const assigned = {
      partition: reader.uint(),
      assignmentEpoch: reader.uint(),
      streamId: reader.uint(),
      startOffset: reader.uint(),
      logStartOffset: reader.uint(),
      highWatermark: reader.uint(),
      logEpoch: reader.uint(),
    };
    partitions.push(elements > PARTITION_ELEMENTS ? { ...assigned, ...readRestores(reader) } : assigned);
    skipRest(reader, elements, PARTITION_ELEMENTS + 1);
  }
  reader.close();
  return { consumerId, partitions };
}
