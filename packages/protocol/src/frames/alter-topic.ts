import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[55, requestId, topic, config]`. Answered by TOPIC. */
export interface AlterTopicFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** TopicChanges; parseTopicChanges checks it. What is left out stays. */
  readonly config: Readonly<Record<string, unknown>>;
}

export function encodeAlterTopic(writer: FrameWriter, frame: AlterTopicFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.ALTER_TOPIC);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.any(frame.config);
}

export function decodeAlterTopic(reader: FrameReader): AlterTopicFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const config = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, topic, config };
}
