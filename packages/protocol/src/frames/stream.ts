import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/**
 * Server to client: `[35, fromStreamId, toStreamId, subscriptionId, partition]`. Later deliveries of that partition to
 * that subscription come under `toStreamId`: it joins the readers that share one frame, or leaves them.
 */
export interface StreamFrame {
  readonly fromStreamId: number;
  readonly toStreamId: number;
  readonly subscriptionId: number;
  readonly partition: number;
}

export function encodeStream(writer: FrameWriter, frame: StreamFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.STREAM);
  writer.uint(frame.fromStreamId);
  writer.uint(frame.toStreamId);
  writer.uint(frame.subscriptionId);
  writer.uint(frame.partition);
}

export function decodeStream(reader: FrameReader): StreamFrame {
  const fromStreamId = reader.required("fromStreamId").uint();
  const toStreamId = reader.required("toStreamId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  const partition = reader.required("partition").uint();
  reader.close();
  return { fromStreamId, toStreamId, subscriptionId, partition };
}
