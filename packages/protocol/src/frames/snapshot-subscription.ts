import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Client to server: `[93, requestId, topic, name, snapshot, action]`. Answered by SUBSCRIPTION. */
export interface SnapshotSubscriptionFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  /** The snapshot's name. */
  readonly snapshot: string;
  /** "create" or "delete". */
  readonly action: string;
}

export function encodeSnapshotSubscription(writer: FrameWriter, frame: SnapshotSubscriptionFrame): void {
  writer.arrayHeader(6);
  writer.uint(FRAME_TYPE.SNAPSHOT_SUBSCRIPTION);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
  writer.str(frame.snapshot);
  writer.str(frame.action);
}

export function decodeSnapshotSubscription(reader: FrameReader): SnapshotSubscriptionFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  const snapshot = reader.required("snapshot").str();
  const action = reader.more() ? reader.str() : "create";
  reader.close();
  return { requestId, topic, name, snapshot, action };
}
