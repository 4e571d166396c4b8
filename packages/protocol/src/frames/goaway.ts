import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[6, code, name, message]`. The server drains: connect elsewhere or later; acks still come. */
export interface GoawayFrame {
  readonly code: number;
  readonly name: string;
  readonly message: string;
}

export function encodeGoaway(writer: FrameWriter, frame: GoawayFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.GOAWAY);
  writer.uint(frame.code);
  writer.str(frame.name);
  writer.str(frame.message);
}

export function decodeGoaway(reader: FrameReader): GoawayFrame {
  const code = reader.required("code").uint();
  const name = reader.required("name").str();
  const message = reader.more() ? reader.str() : "";
  reader.close();
  return { code, name, message };
}
