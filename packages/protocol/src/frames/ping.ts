import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Either way, every 15 s: `[4, nonce]`. Answered by a PONG with the same nonce. */
export interface PingFrame {
  readonly nonce: number;
}

export function encodePing(writer: FrameWriter, frame: PingFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.PING);
  writer.uint(frame.nonce);
}

export function decodePing(reader: FrameReader): PingFrame {
  const nonce = reader.more() ? reader.uint() : 0;
  reader.close();
  return { nonce };
}
