import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[80, requestId, topic, name, config]`. Answered by SUBSCRIPTION. */
export interface CreateSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  /** A SubscriptionConfig; parseSubscriptionConfig checks it. */
  readonly config: Readonly<Record<string, unknown>>;
}

export function encodeCreateSubscription(writer: FrameWriter, frame: CreateSubscriptionFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.CREATE_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
  writer.any(frame.config);
}

export function decodeCreateSubscription(reader: FrameReader): CreateSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  const config = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, topic, name, config };
}
