import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/** Server to client: `[52, requestId, name, catalogPosition]` */
export interface TopicDeletedFrame {
  readonly requestId: number;
  readonly name: string;
  /** Position in the catalog after which the topic is gone. */
  readonly catalogPosition: number;
}

export function encodeTopicDeleted(writer: FrameWriter, frame: TopicDeletedFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.TOPIC_DELETED);
  writer.uint(frame.requestId);
  writer.str(frame.name);
  writer.uint(frame.catalogPosition);
}

export function decodeTopicDeleted(reader: FrameReader): TopicDeletedFrame {
  const requestId = reader.required("requestId").uint();
  const name = reader.required("name").str();
  const catalogPosition = reader.more() ? reader.uint() : 0;
  reader.close();
  return { requestId, name, catalogPosition };
}
