import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[75, requestId, consumerId]`. What is unsettled goes back at once. Answered by CONSUMING_STOPPED. */
export interface StopConsumingFrame {
  readonly requestId: number;
  readonly consumerId: number;
}

export function encodeStopConsuming(writer: FrameWriter, frame: StopConsumingFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.STOP_CONSUMING);
  writer.uint(frame.requestId);
  writer.uint(frame.consumerId);
}

export function decodeStopConsuming(reader: FrameReader): StopConsumingFrame {
  const requestId = reader.required("requestId").uint();
  const consumerId = reader.required("consumerId").uint();
  reader.close();
  return { requestId, consumerId };
}
