import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";
import {
  positionElements,
  readStreamPosition,
  type StreamPosition,
  writeStreamPosition,
} from "./stream-position.ts";

/** A partition that a stream consumer has got; its position is the subscription's cursor. */
export interface AssignedPartition extends StreamPosition {
  readonly partition: number;
  /** Raised whenever the partition is given to a member; COMMIT and RELEASE state it. */
  readonly assignmentEpoch: number;
}

/**
 * Server to client: `[66, consumerId, [[partition, assignmentEpoch, streamId, startOffset, logStartOffset, highWatermark,
 * logEpoch, restores]]]`. The stream consumer has these partitions too from now on.
 */
export interface AssignedFrame {
  readonly consumerId: number;
  readonly partitions: readonly AssignedPartition[];
}

/** Elements in front of the position. */
const HEAD_ELEMENTS = 2;
const PARTITION_ELEMENTS = 7;

export function encodeAssigned(writer: FrameWriter, frame: AssignedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.ASSIGNED);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.partitions.length);
  for (const assigned of frame.partitions) {
    writer.arrayHeader(HEAD_ELEMENTS + positionElements(assigned));
    writer.uint(assigned.partition);
    writer.uint(assigned.assignmentEpoch);
    writeStreamPosition(writer, assigned);
  }
}

export function decodeAssigned(reader: FrameReader): AssignedFrame {
  const consumerId = reader.required("consumerId").uint();
  const partitions: AssignedPartition[] = [];
  for (let left = reader.required("partitions").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, PARTITION_ELEMENTS);
    const head = { partition: reader.uint(), assignmentEpoch: reader.uint() };
    partitions.push({ ...head, ...readStreamPosition(reader, elements - HEAD_ELEMENTS) });
    skipRest(reader, elements, PARTITION_ELEMENTS + 1);
  }
  reader.close();
  return { consumerId, partitions };
}
