import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readTopicInfo, type TopicInfo, writeTopicInfo } from "./topic.ts";

/**
 * Server to client: `[54, requestId, [topic], more]`; topics as in TOPIC, without partitionInfo, by ascending name, at most
 * LIMITS.topicsPerPageMax of them.
 */
export interface TopicsFrame {
  readonly requestId: number;
  readonly topics: readonly TopicInfo[];
  /** Whether topics with greater names were left out: they are asked for with `after`, the last name of these. */
  readonly more: boolean;
}

export function encodeTopics(writer: FrameWriter, frame: TopicsFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.TOPICS);
  writer.uint(frame.requestId);
  writer.arrayHeader(frame.topics.length);
  for (const topic of frame.topics) writeTopicInfo(writer, topic);
  writer.bool(frame.more);
}

export function decodeTopics(reader: FrameReader): TopicsFrame {
  const requestId = reader.required("requestId").uint();
  const topics: TopicInfo[] = [];
  for (let left = reader.required("topics").arrayHeader(); left > 0; left -= 1)
    topics.push(readTopicInfo(reader));
  const more = reader.more() ? reader.bool() : false;
  reader.close();
  return { requestId, topics, more };
}
