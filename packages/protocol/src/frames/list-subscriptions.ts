import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readRow, skipRest, writeStrings } from "./element.ts";

/** Client to server: `[83, requestId, topic?, after?]`. Answered by SUBSCRIPTIONS. */
export interface ListSubscriptionsFrame {
  readonly requestId: number;
  /** undefined: of all topics. */
  readonly topic?: string | undefined;
  /** Subscriptions after this one, by the names of topic and subscription, are asked for; undefined: from the first. */
  readonly after?: readonly [topic: string, name: string] | undefined;
}

const AFTER_ELEMENTS = 2;

export function encodeListSubscriptions(writer: FrameWriter, frame: ListSubscriptionsFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.LIST_SUBSCRIPTIONS);
  writer.uint(frame.requestId);
  if (frame.topic === undefined) writer.nil();
  else writer.str(frame.topic);
  if (frame.after === undefined) writer.nil();
  else writeStrings(writer, frame.after);
}

export function decodeListSubscriptions(reader: FrameReader): ListSubscriptionsFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.more() && !reader.nil() ? reader.str() : undefined;
  const after = reader.more() && !reader.nil() ? readAfter(reader) : undefined;
  reader.close();
  return { requestId, topic, after };
}

function readAfter(reader: FrameReader): [string, string] {
  const elements = readRow(reader, AFTER_ELEMENTS);
  const after: [string, string] = [reader.str(), reader.str()];
  skipRest(reader, elements, AFTER_ELEMENTS);
  return after;
}
