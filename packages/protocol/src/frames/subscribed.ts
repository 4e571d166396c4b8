import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";
import { type RestorePoint, readRestores, writeRestores } from "./restores.ts";

/** One partition of a subscription. */
export interface SubscribedStream {
  readonly partition: number;
  /** Chosen by the server; DELIVER and PROGRESS name it. */
  readonly streamId: number;
  /** Offset that the subscription starts at; records below it are to be discarded. */
  readonly startOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEpoch: number;
  /** What the log has been through, for resuming; absent = none. */
  readonly restores?: readonly RestorePoint[] | undefined;
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

const STREAM_ELEMENTS = 6;

export function encodeSubscribed(writer: FrameWriter, frame: SubscribedFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.SUBSCRIBED);
  writer.uint(frame.requestId);
  writer.uint(frame.subscriptionId);
  writer.uint(frame.topicId);
  writer.arrayHeader(frame.streams.length);
  for (const stream of frame.streams) {
    const { restores = [] } = stream;
    writer.arrayHeader(STREAM_ELEMENTS + (restores.length > 0 ? 1 : 0));
    writer.uint(stream.partition);
    writer.uint(stream.streamId);
    writer.uint(stream.startOffset);
    writer.uint(stream.logStartOffset);
    writer.uint(stream.highWatermark);
    writer.uint(stream.logEpoch);
    if (restores.length > 0) writeRestores(writer, restores);
  }
}

export function decodeSubscribed(reader: FrameReader): SubscribedFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  const topicId = reader.required("topicId").uint();
  const streams: SubscribedStream[] = [];
  for (let left = reader.required("streams").arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, STREAM_ELEMENTS);
    const stream = {
      partition: reader.uint(),
      streamId: reader.uint(),
      startOffset: reader.uint(),
      logStartOffset: reader.uint(),
      highWatermark: reader.uint(),
      logEpoch: reader.uint(),
    };
    streams.push(elements > STREAM_ELEMENTS ? { ...stream, ...readRestores(reader) } : stream);
    skipRest(reader, elements, STREAM_ELEMENTS + 1);
  }
  reader.close();
  return { requestId, subscriptionId, topicId, streams };
}
