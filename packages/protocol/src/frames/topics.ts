import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readTopicInfo, type TopicInfo, writeTopicInfo } from "./topic.ts";

/** Server to client: `[54, requestId, [topic]]`; topics as in TOPIC, without partitionInfo. */
export interface TopicsFrame {
  readonly requestId: number;
  readonly topics: readonly TopicInfo[];
}

export function encodeTopics(writer: FrameWriter, frame: TopicsFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.TOPICS);
  writer.uint(frame.requestId);
  writer.arrayHeader(frame.topics.length);
  for (const topic of frame.topics) writeTopicInfo(writer, topic);
}

export function decodeTopics(reader: FrameReader): TopicsFrame {
  const requestId = reader.required("requestId").uint();
  const topics: TopicInfo[] = [];
  for (let left = reader.required("topics").arrayHeader(); left > 0; left -= 1)
    topics.push(readTopicInfo(reader));
  reader.close();
  return { requestId, topics };
}
