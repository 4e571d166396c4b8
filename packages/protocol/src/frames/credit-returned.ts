import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[21, publishCreditLimit]`. The limit that the client keeps to from now on. */
export interface CreditReturnedFrame {
  /** Cumulative bytes of PUBLISH frames, at least what the client has sent. */
  readonly publishCreditLimit: number;
}

export function encodeCreditReturned(writer: FrameWriter, frame: CreditReturnedFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.CREDIT_RETURNED);
  writer.uint(frame.publishCreditLimit);
}

export function decodeCreditReturned(reader: FrameReader): CreditReturnedFrame {
  const publishCreditLimit = reader.required("publishCreditLimit").uint();
  reader.close();
  return { publishCreditLimit };
}
