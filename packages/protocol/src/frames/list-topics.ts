import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[53, requestId]`. Answered by TOPICS. */
export interface ListTopicsFrame {
  readonly requestId: number;
}

export function encodeListTopics(writer: FrameWriter, frame: ListTopicsFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.LIST_TOPICS);
  writer.uint(frame.requestId);
}

export function decodeListTopics(reader: FrameReader): ListTopicsFrame {
  const requestId = reader.required("requestId").uint();
  reader.close();
  return { requestId };
}
