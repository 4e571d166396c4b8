import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Either way, the answer to PING: `[5, nonce]` */
export interface PongFrame {
  readonly nonce: number;
}

export function encodePong(writer: FrameWriter, frame: PongFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.PONG);
  writer.uint(frame.nonce);
}

export function decodePong(reader: FrameReader): PongFrame {
  const nonce = reader.more() ? reader.uint() : 0;
  reader.close();
  return { nonce };
}
