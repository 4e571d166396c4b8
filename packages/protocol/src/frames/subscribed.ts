import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";
import {
  positionElements,
  readStreamPosition,
  type StreamPosition,
  writeStreamPosition,
} from "./stream-position.ts";

/** One partition of a subscription. */
export interface SubscribedStream extends StreamPosition {
  readonly partition: number;
}

/**
 * Server to client: `[33, requestId, subscriptionId, topicId,
 * [[partition, streamId, startOffset, logStartOffset, highWatermark, logEpoch, restores]]]`
 */
export interface SubscribedFrame {
  readonly requestId: number;
  readonly subscriptionId: number;
  readonly topicId: number;
  readonly streams: readonly SubscribedStream[];
}

/** Elements in front of the position. */
const HEAD_ELEMENTS = 1;
const STREAM_ELEMENTS = 6;

export function encodeSubscribed(writer: FrameWriter, frame: SubscribedFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.SUBSCRIBED);
  writer.uint(frame.requestId);
  writer.uint(frame.subscriptionId);
  writer.uint(frame.topicId);
  writer.arrayHeader(frame.streams.length);
  for (const stream of frame.streams) {
    writer.arrayHeader(HEAD_ELEMENTS + positionElements(stream));
    writer.uint(stream.partition);
    writeStreamPosition(writer, stream);
  }
}

export function decodeSubscribed(reader: FrameReader): SubscribedFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  const topicId = reader.required("topicId").uint();
  const streams: SubscribedStream[] = [];
  for (let left = reader.required("streams").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, STREAM_ELEMENTS);
    const partition = reader.uint();
    streams.push({ partition, ...readStreamPosition(reader, elements - HEAD_ELEMENTS) });
    skipRest(reader, elements, STREAM_ELEMENTS + 1);
  }
  reader.close();
  return { requestId, subscriptionId, topicId, streams };
}
