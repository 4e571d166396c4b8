import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[96, watchId]`. Not answered; what is on its way may still come. */
export interface UnwatchTopicsFrame {
  readonly watchId: number;
}

export function encodeUnwatchTopics(writer: FrameWriter, frame: UnwatchTopicsFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.UNWATCH_TOPICS);
  writer.uint(frame.watchId);
}

export function decodeUnwatchTopics(reader: FrameReader): UnwatchTopicsFrame {
  const watchId = reader.required("watchId").uint();
  reader.close();
  return { watchId };
}
