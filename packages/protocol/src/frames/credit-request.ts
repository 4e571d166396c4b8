import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[19, bytes]`. The client holds a frame and lacks the credit to send it. */
export interface CreditRequestFrame {
  /** Length of that frame. */
  readonly bytes: number;
}

export function encodeCreditRequest(writer: FrameWriter, frame: CreditRequestFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.CREDIT_REQUEST);
  writer.uint(frame.bytes);
}

export function decodeCreditRequest(reader: FrameReader): CreditRequestFrame {
  const bytes = reader.required("bytes").uint();
  reader.close();
  return { bytes };
}
