import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[18, publishCreditLimit]`. More may be published; it never lowers the limit. */
export interface CreditFrame {
  /** Cumulative bytes of PUBLISH frames that the session may have sent in all. */
  readonly publishCreditLimit: number;
}

export function encodeCredit(writer: FrameWriter, frame: CreditFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.CREDIT);
  writer.uint(frame.publishCreditLimit);
}

export function decodeCredit(reader: FrameReader): CreditFrame {
  const publishCreditLimit = reader.required("publishCreditLimit").uint();
  reader.close();
  return { publishCreditLimit };
}
