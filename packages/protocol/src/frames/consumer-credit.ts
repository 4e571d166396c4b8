import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[74, consumerId, slots, creditLimit]`. New values of both; not answered. */
export interface ConsumerCreditFrame {
  readonly consumerId: number;
  /** As in CONSUME; 0: nothing more is to come. */
  readonly slots: number;
  /** As in CONSUME; of a stream consumer it never lowers the limit. */
  readonly creditLimit: number;
}

export function encodeConsumerCredit(writer: FrameWriter, frame: ConsumerCreditFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.CONSUMER_CREDIT);
  writer.uint(frame.consumerId);
  writer.uint(frame.slots);
  writer.uint(frame.creditLimit);
}

export function decodeConsumerCredit(reader: FrameReader): ConsumerCreditFrame {
  const consumerId = reader.required("consumerId").uint();
  const slots = reader.required("slots").uint();
  const creditLimit = reader.required("creditLimit").uint();
  reader.close();
  return { consumerId, slots, creditLimit };
}
