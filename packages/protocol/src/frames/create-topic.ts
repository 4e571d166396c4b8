import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[48, requestId, name, config]`. Answered by TOPIC. */
export interface CreateTopicFrame {
  readonly requestId: number;
  readonly name: string;
  /** A TopicConfig; parseTopicConfig checks it. */
  readonly config: Readonly<Record<string, unknown>>;
}

export function encodeCreateTopic(writer: FrameWriter, frame: CreateTopicFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.CREATE_TOPIC);
  writer.uint(frame.requestId);
  writer.str(frame.name);
  writer.any(frame.config);
}

export function decodeCreateTopic(reader: FrameReader): CreateTopicFrame {
  const requestId = reader.required("requestId").uint();
  const name = reader.required("name").str();
  const config = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, name, config };
}
