import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readSubscriptionInfo, type SubscriptionInfo, writeSubscriptionInfo } from "./subscription-info.ts";

/**
 * Server to client: `[84, requestId, [subscription]]`; subscriptions as in SUBSCRIPTION, without state, by ascending names of
 * topic and subscription, at most LIMITS.subscriptionsPerPageMax of them. None: there are no more.
 */
export interface SubscriptionsFrame {
  readonly requestId: number;
  readonly subscriptions: readonly SubscriptionInfo[];
}

export function encodeSubscriptions(writer: FrameWriter, frame: SubscriptionsFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.SUBSCRIPTIONS);
  writer.uint(frame.requestId);
  writer.arrayHeader(frame.subscriptions.length);
  for (const subscription of frame.subscriptions) writeSubscriptionInfo(writer, subscription);
}

export function decodeSubscriptions(reader: FrameReader): SubscriptionsFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptions: SubscriptionInfo[] = [];
  for (let left = reader.required("subscriptions").arrayHeader(); left > 0; left -= 1)
    subscriptions.push(readSubscriptionInfo(reader));
  reader.close();
  return { requestId, subscriptions };
}
