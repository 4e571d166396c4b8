import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[38, requestId, subscriptionId]`. Deliveries stop; what is on its way still comes. */
export interface UnsubscribeFrame {
  readonly requestId: number;
  readonly subscriptionId: number;
}

export function encodeUnsubscribe(writer: FrameWriter, frame: UnsubscribeFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.UNSUBSCRIBE);
  writer.uint(frame.requestId);
  writer.uint(frame.subscriptionId);
}

export function decodeUnsubscribe(reader: FrameReader): UnsubscribeFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  reader.close();
  return { requestId, subscriptionId };
}
