import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** A dead letter that is to be delivered again. */
export interface RedriveRow {
  /** Of the dead-letter topic. */
  readonly partition: number;
  readonly offset: number;
  /** Name of the subscription that it is to be delivered to, one of the topic that it came from. */
  readonly subscription: string;
}

/** Client to server: `[91, requestId, topic, [[partition, offset, subscription]]]`. Answered by REDRIVEN. */
export interface RedriveFrame {
  readonly requestId: number;
  /** Name of the dead-letter topic. */
  readonly topic: string;
  /** At most LIMITS.redriveRecordsMax. */
  readonly rows: readonly RedriveRow[];
}

const ROW_ELEMENTS = 3;

export function encodeRedrive(writer: FrameWriter, frame: RedriveFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.REDRIVE);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.arrayHeader(frame.rows.length);
  for (const { partition, offset, subscription } of frame.rows) {
    writer.arrayHeader(ROW_ELEMENTS);
    writer.uint(partition);
    writer.uint(offset);
    writer.str(subscription);
  }
}

export function decodeRedrive(reader: FrameReader): RedriveFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const rows: RedriveRow[] = [];
  for (let left = reader.required("rows").arrayHeader(LIMITS.redriveRecordsMax); left > 0; left -= 1) {
    const elements = readRow(reader, ROW_ELEMENTS);
    rows.push({ partition: reader.uint(), offset: reader.uint(), subscription: reader.str() });
    skipRest(reader, elements, ROW_ELEMENTS);
  }
  reader.close();
  return { requestId, topic, rows };
}
