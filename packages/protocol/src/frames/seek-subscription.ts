import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { parseSubscriptionFrom, type SubscriptionFrom, subscriptionFromData } from "../subscription-from.ts";

/**
 * Client to server: `[86, requestId, topic, name, from]`. Every partition of the subscription is moved there. Answered by
 * SUBSCRIPTION.
 */
export interface SeekSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  readonly from: SubscriptionFrom;
}

export function encodeSeekSubscription(writer: FrameWriter, frame: SeekSubscriptionFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.SEEK_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
  writer.any(subscriptionFromData(frame.from));
}

export function decodeSeekSubscription(reader: FrameReader): SeekSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  const from = parseSubscriptionFrom(reader.required("from").any());
  if (from === undefined) throw reader.error("INVALID_FROM", "a subscription cannot be moved there");
  reader.close();
  return { requestId, topic, name, from };
}
