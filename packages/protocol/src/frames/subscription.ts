import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readSubscriptionInfo, type SubscriptionInfo, writeSubscriptionInfo } from "./subscription-info.ts";

/**
 * Server to client, the answer to CREATE_, DESCRIBE_, ALTER_, SEEK_ and SNAPSHOT_SUBSCRIPTION:
 * `[81, requestId, subscription]`
 */
export interface SubscriptionFrame {
  readonly requestId: number;
  readonly subscription: SubscriptionInfo;
}

export function encodeSubscription(writer: FrameWriter, frame: SubscriptionFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.SUBSCRIPTION);
  writer.uint(frame.requestId);
  writeSubscriptionInfo(writer, frame.subscription);
}

export function decodeSubscription(reader: FrameReader): SubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const subscription = readSubscriptionInfo(reader.required("subscription"));
  reader.close();
  return { requestId, subscription };
}
