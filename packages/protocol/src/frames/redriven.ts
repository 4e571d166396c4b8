import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[92, requestId, count]`, once it is durable. */
export interface RedrivenFrame {
  readonly requestId: number;
  /** Dead letters that will be delivered again; those that were already settled or redriven are not counted. */
  readonly count: number;
}

export function encodeRedriven(writer: FrameWriter, frame: RedrivenFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.REDRIVEN);
  writer.uint(frame.requestId);
  writer.uint(frame.count);
}

export function decodeRedriven(reader: FrameReader): RedrivenFrame {
  const requestId = reader.required("requestId").uint();
  const count = reader.required("count").uint();
  reader.close();
  return { requestId, count };
}
