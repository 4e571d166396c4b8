import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/**
 * Client to server: `[64, requestId, topic, subscription, mode?, slots, creditLimit, create?, extensions]`. Answered by
 * CONSUMING.
 */
export interface ConsumeFrame {
  readonly requestId: number;
  readonly topic: string;
  /** The subscription's name. */
  readonly subscription: string;
  /** A SubscriptionMode that the subscription must have; undefined: whatever it has. */
  readonly mode?: string | undefined;
  /** Messages that the consumer may have unsettled, for queue and keyed; 0 for stream. */
  readonly slots: number;
  /**
   * stream: cumulative bytes of DELIVER frames that the consumer may be sent in all; queue and keyed: bytes of LEASED
   * frames that it may have unsettled.
   */
  readonly creditLimit: number;
  /** A SubscriptionConfig; parseSubscriptionConfig checks it. undefined: the subscription must exist. */
  readonly create?: Readonly<Record<string, unknown>> | undefined;
  readonly extensions: Readonly<Record<string, unknown>>;
}

export function encodeConsume(writer: FrameWriter, frame: ConsumeFrame): void {
  writer.arrayHeader(9);
  writer.uint(FRAME_TYPE.CONSUME);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.subscription);
  if (frame.mode === undefined) writer.nil();
  else writer.str(frame.mode);
  writer.uint(frame.slots);
  writer.uint(frame.creditLimit);
  writer.any(frame.create);
  writer.any(frame.extensions);
}

export function decodeConsume(reader: FrameReader): ConsumeFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const subscription = reader.required("subscription").str();
  const mode = reader.required("mode").nil() ? undefined : reader.str();
  const slots = reader.required("slots").uint();
  const creditLimit = reader.required("creditLimit").uint();
  const create = reader.more() && !reader.nil() ? reader.map() : undefined;
  const extensions = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, topic, subscription, mode, slots, creditLimit, create, extensions };
}
