import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/**
 * Why records will not come: no record stands at the offsets, retention passed over them, or they were damaged and a repair
 * has taken them out.
 */
export type ProgressReason = "gap" | "retention" | "damage";

/** Server to client: `[36, streamId, nextOffset, reason]`. Records below `nextOffset` will not come. */
export interface ProgressFrame {
  readonly streamId: number;
  readonly nextOffset: number;
  /** A ProgressReason, or one of a newer server. */
  readonly reason: string;
}

export function encodeProgress(writer: FrameWriter, frame: ProgressFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.PROGRESS);
  writer.uint(frame.streamId);
  writer.uint(frame.nextOffset);
  writer.str(frame.reason);
}

export function decodeProgress(reader: FrameReader): ProgressFrame {
  const streamId = reader.required("streamId").uint();
  const nextOffset = reader.required("nextOffset").uint();
  const reason = reader.more() ? reader.str() : "gap";
  reader.close();
  return { streamId, nextOffset, reason };
}
