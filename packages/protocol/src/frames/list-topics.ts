import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[53, requestId, after?]`. Answered by TOPICS. */
export interface ListTopicsFrame {
  readonly requestId: number;
  /** Topics whose names are greater, by code units, are asked for; undefined: from the first. */
  readonly after?: string | undefined;
}

export function encodeListTopics(writer: FrameWriter, frame: ListTopicsFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.LIST_TOPICS);
  writer.uint(frame.requestId);
  if (frame.after === undefined) writer.nil();
  else writer.str(frame.after);
}

export function decodeListTopics(reader: FrameReader): ListTopicsFrame {
  const requestId = reader.required("requestId").uint();
  const after = reader.more() && !reader.nil() ? reader.str() : undefined;
  reader.close();
  return { requestId, after };
}
