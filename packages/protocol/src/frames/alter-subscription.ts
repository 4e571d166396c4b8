import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[85, requestId, topic, name, changes]`. Answered by SUBSCRIPTION. */
export interface AlterSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  /** SubscriptionChanges; parseSubscriptionChanges checks it. What is left out stays. */
  readonly changes: Readonly<Record<string, unknown>>;
}

export function encodeAlterSubscription(writer: FrameWriter, frame: AlterSubscriptionFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.ALTER_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
  writer.any(frame.changes);
}

export function decodeAlterSubscription(reader: FrameReader): AlterSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  const changes = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, topic, name, changes };
}
