import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readStrings, writeStrings } from "./element.ts";
import { readTopicInfo, type TopicInfo, writeTopicInfo } from "./topic.ts";

/**
 * Server to client: `[95, requestId?, watchId, [topic], [removed]]`. Topics that match a watched pattern and were made or
 * altered, and names of those that were deleted. The first answers hold all that match: the last of them has the
 * `requestId` of WATCH_TOPICS, and whatever comes later has none.
 */
export interface TopicsChangedFrame {
  /** undefined: nil on the wire. */
  readonly requestId?: number | undefined;
  readonly watchId: number;
  /** As in TOPIC, without partitionInfo; at most LIMITS.topicsPerPageMax. */
  readonly topics: readonly TopicInfo[];
  readonly removed: readonly string[];
}

export function encodeTopicsChanged(writer: FrameWriter, frame: TopicsChangedFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.TOPICS_CHANGED);
  if (frame.requestId === undefined) writer.nil();
  else writer.uint(frame.requestId);
  writer.uint(frame.watchId);
  writer.arrayHeader(frame.topics.length);
  for (const topic of frame.topics) writeTopicInfo(writer, topic);
  writeStrings(writer, frame.removed);
}

export function decodeTopicsChanged(reader: FrameReader): TopicsChangedFrame {
  const requestId = reader.required("requestId").nil() ? undefined : reader.uint();
  const watchId = reader.required("watchId").uint();
  const topics: TopicInfo[] = [];
  for (let left = reader.required("topics").arrayHeader(); left > 0; left -= 1)
    topics.push(readTopicInfo(reader));
  const removed = reader.more() ? readStrings(reader, Number.POSITIVE_INFINITY) : [];
  reader.close();
  return { requestId, watchId, topics, removed };
}
