import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** How far a stream consumer has come in one partition. */
export interface CommitPosition {
  readonly partition: number;
  readonly assignmentEpoch: number;
  /** The next offset that is wanted. */
  readonly offset: number;
  readonly logEpoch: number;
}

/**
 * Client to server: `[69, requestId, consumerId, [[partition, assignmentEpoch, offset, logEpoch]]]`. Answered by COMMITTED.
 */
export interface CommitFrame {
  readonly requestId: number;
  readonly consumerId: number;
  readonly positions: readonly CommitPosition[];
}

const POSITION_ELEMENTS = 4;

export function encodeCommit(writer: FrameWriter, frame: CommitFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.COMMIT);
  writer.uint(frame.requestId);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.positions.length);
  for (const position of frame.positions) {
    writer.arrayHeader(POSITION_ELEMENTS);
    writer.uint(position.partition);
    writer.uint(position.assignmentEpoch);
    writer.uint(position.offset);
    writer.uint(position.logEpoch);
  }
}

export function decodeCommit(reader: FrameReader): CommitFrame {
  const requestId = reader.required("requestId").uint();
  const consumerId = reader.required("consumerId").uint();
  const positions: CommitPosition[] = [];
  for (let left = reader.required("positions").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, POSITION_ELEMENTS);
    positions.push({
      partition: reader.uint(),
      assignmentEpoch: reader.uint(),
      offset: reader.uint(),
      logEpoch: reader.uint(),
    });
    skipRest(reader, elements, POSITION_ELEMENTS);
  }
  reader.close();
  return { requestId, consumerId, positions };
}
