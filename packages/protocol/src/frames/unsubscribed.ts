import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[39, requestId, subscriptionId]`. Nothing more comes for the subscription. */
export interface UnsubscribedFrame {
  readonly requestId: number;
  readonly subscriptionId: number;
}

export function encodeUnsubscribed(writer: FrameWriter, frame: UnsubscribedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.UNSUBSCRIBED);
  writer.uint(frame.requestId);
  writer.uint(frame.subscriptionId);
}

export function decodeUnsubscribed(reader: FrameReader): UnsubscribedFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  reader.close();
  return { requestId, subscriptionId };
}
