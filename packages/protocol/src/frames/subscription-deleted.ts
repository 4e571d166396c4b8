import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[88, requestId, topic, name]` */
export interface SubscriptionDeletedFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
}

export function encodeSubscriptionDeleted(writer: FrameWriter, frame: SubscriptionDeletedFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.SUBSCRIPTION_DELETED);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
}

export function decodeSubscriptionDeleted(reader: FrameReader): SubscriptionDeletedFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  reader.close();
  return { requestId, topic, name };
}
