import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[94, requestId, watchId, pattern]`. Answered by TOPICS_CHANGED, now and on every later change. */
export interface WatchTopicsFrame {
  readonly requestId: number;
  /** Chosen by the client, unique among the session's watches. */
  readonly watchId: number;
  /** A TopicPattern. */
  readonly pattern: string;
}

export function encodeWatchTopics(writer: FrameWriter, frame: WatchTopicsFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.WATCH_TOPICS);
  writer.uint(frame.requestId);
  writer.uint(frame.watchId);
  writer.str(frame.pattern);
}

export function decodeWatchTopics(reader: FrameReader): WatchTopicsFrame {
  const requestId = reader.required("requestId").uint();
  const watchId = reader.required("watchId").uint();
  const pattern = reader.required("pattern").str();
  reader.close();
  return { requestId, watchId, pattern };
}
