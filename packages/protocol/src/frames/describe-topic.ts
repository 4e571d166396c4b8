import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[50, requestId, topic]`. Answered by TOPIC, with its partitions' state. */
export interface DescribeTopicFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
}

export function encodeDescribeTopic(writer: FrameWriter, frame: DescribeTopicFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.DESCRIBE_TOPIC);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
}

export function decodeDescribeTopic(reader: FrameReader): DescribeTopicFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  reader.close();
  return { requestId, topic };
}
