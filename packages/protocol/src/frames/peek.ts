import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";

/** Client to server: `[89, requestId, topic, name, partition, fromOffset, limit]`. Answered by PEEKED. */
export interface PeekFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  readonly partition: number;
  /** Records below it are left out. */
  readonly fromOffset: number;
  /** Of records; at most LIMITS.peekRecordsMax. */
  readonly limit: number;
}

export function encodePeek(writer: FrameWriter, frame: PeekFrame): void {
  writer.arrayHeader(7);
  writer.uint(FRAME_TYPE.PEEK);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writer.str(frame.name);
  writer.uint(frame.partition);
  writer.uint(frame.fromOffset);
  writer.uint(frame.limit);
}

export function decodePeek(reader: FrameReader): PeekFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const name = reader.required("name").str();
  const partition = reader.required("partition").uint();
  const fromOffset = reader.more() ? reader.uint() : 0;
  const limit = reader.more() ? reader.uint() : LIMITS.peekRecordsMax;
  reader.close();
  return { requestId, topic, name, partition, fromOffset, limit };
}
