import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[82, requestId, topic, name]`. Answered by SUBSCRIPTION, with its state. */
export interface DescribeSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
}

export function encodeDescribeSubscription(writer: FrameWriter, frame: DescribeSubscriptionFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.DESCRIBE_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
}

export function decodeDescribeSubscription(reader: FrameReader): DescribeSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  reader.close();
  return { requestId, topic, name };
}
