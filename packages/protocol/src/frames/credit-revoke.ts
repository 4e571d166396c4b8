import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[20, publishCreditLimit]`. Please keep to this lower limit; answered by CREDIT_RETURNED. */
export interface CreditRevokeFrame {
  /** Cumulative bytes of PUBLISH frames, lower than granted before. */
  readonly publishCreditLimit: number;
}

export function encodeCreditRevoke(writer: FrameWriter, frame: CreditRevokeFrame): void {
  writer.arrayHeader(2);
  writer.uint(FRAME_TYPE.CREDIT_REVOKE);
  writer.uint(frame.publishCreditLimit);
}

export function decodeCreditRevoke(reader: FrameReader): CreditRevokeFrame {
  const publishCreditLimit = reader.required("publishCreditLimit").uint();
  reader.close();
  return { publishCreditLimit };
}
