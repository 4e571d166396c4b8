import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[51, requestId, topic]`. Answered by TOPIC_DELETED. */
export interface DeleteTopicFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
}

export function encodeDeleteTopic(writer: FrameWriter, frame: DeleteTopicFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.DELETE_TOPIC);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
}

export function decodeDeleteTopic(reader: FrameReader): DeleteTopicFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  reader.close();
  return { requestId, topic };
}
