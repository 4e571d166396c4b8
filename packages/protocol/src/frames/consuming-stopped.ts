import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[76, requestId, consumerId]`. Nothing more comes for the consumer. */
export interface ConsumingStoppedFrame {
  readonly requestId: number;
  readonly consumerId: number;
}

export function encodeConsumingStopped(writer: FrameWriter, frame: ConsumingStoppedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.CONSUMING_STOPPED);
  writer.uint(frame.requestId);
  writer.uint(frame.consumerId);
}

export function decodeConsumingStopped(reader: FrameReader): ConsumingStoppedFrame {
  const requestId = reader.required("requestId").uint();
  const consumerId = reader.required("consumerId").uint();
  reader.close();
  return { requestId, consumerId };
}
