import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[37, subscriptionId, creditLimit]`. The subscription may be sent more; it never takes back. */
export interface FlowFrame {
  readonly subscriptionId: number;
  /** Cumulative bytes of DELIVER frames that the subscription may be sent in all. */
  readonly creditLimit: number;
}

export function encodeFlow(writer: FrameWriter, frame: FlowFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.FLOW);
  writer.uint(frame.subscriptionId);
  writer.uint(frame.creditLimit);
}

export function decodeFlow(reader: FrameReader): FlowFrame {
  const subscriptionId = reader.required("subscriptionId").uint();
  const creditLimit = reader.required("creditLimit").uint();
  reader.close();
  return { subscriptionId, creditLimit };
}
