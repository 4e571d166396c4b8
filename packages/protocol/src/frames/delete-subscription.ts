import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[87, requestId, topic, name]`. Answered by SUBSCRIPTION_DELETED. */
export interface DeleteSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
}

export function encodeDeleteSubscription(writer: FrameWriter, frame: DeleteSubscriptionFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.DELETE_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
}

export function decodeDeleteSubscription(reader: FrameReader): DeleteSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  reader.close();
  return { requestId, topic, name };
}
