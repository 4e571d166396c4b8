import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readSubscriptionInfo, type SubscriptionInfo, writeSubscriptionInfo } from "./subscription-info.ts";

/** Server to client: `[65, requestId, consumerId, topicId, subscription]` */
export interface ConsumingFrame {
  readonly requestId: number;
  /** Chosen by the server; all frames about the consumer name it. */
  readonly consumerId: number;
  readonly topicId: number;
  readonly subscription: SubscriptionInfo;
}

export function encodeConsuming(writer: FrameWriter, frame: ConsumingFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.CONSUMING);
  writer.uint(frame.requestId);
  writer.uint(frame.consumerId);
  writer.uint(frame.topicId);
  writeSubscriptionInfo(writer, frame.subscription);
}

export function decodeConsuming(reader: FrameReader): ConsumingFrame {
  const requestId = reader.required("requestId").uint();
  const consumerId = reader.required("consumerId").uint();
  const topicId = reader.required("topicId").uint();
  const subscription = readSubscriptionInfo(reader.required("subscription"));
  reader.close();
  return { requestId, consumerId, topicId, subscription };
}
