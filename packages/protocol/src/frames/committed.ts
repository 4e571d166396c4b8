import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** What became of one position of a COMMIT. */
export interface CommitOutcome {
  readonly partition: number;
  /** As it was committed. */
  readonly offset: number;
  /** 0, or the number of an error: ASSIGNMENT_LOST when another member has the partition. */
  readonly outcome: number;
}

/** Server to client: `[70, requestId, consumerId, [[partition, offset, outcome]]]`, once it is durable. */
export interface CommittedFrame {
  readonly requestId: number;
  readonly consumerId: number;
  readonly outcomes: readonly CommitOutcome[];
}

const OUTCOME_ELEMENTS = 3;

export function encodeCommitted(writer: FrameWriter, frame: CommittedFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.COMMITTED);
  writer.uint(frame.requestId);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.outcomes.length);
  for (const { partition, offset, outcome } of frame.outcomes) {
    writer.arrayHeader(OUTCOME_ELEMENTS);
    writer.uint(partition);
    writer.uint(offset);
    writer.uint(outcome);
  }
}

export function decodeCommitted(reader: FrameReader): CommittedFrame {
  const requestId = reader.required("requestId").uint();
  const consumerId = reader.required("consumerId").uint();
  const outcomes: CommitOutcome[] = [];
  for (let left = reader.required("outcomes").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, OUTCOME_ELEMENTS);
    outcomes.push({ partition: reader.uint(), offset: reader.uint(), outcome: reader.uint() });
    skipRest(reader, elements, OUTCOME_ELEMENTS);
  }
  reader.close();
  return { requestId, consumerId, outcomes };
}
