import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readPartitions, readRow, skipRest, writePartitions } from "./element.ts";
import { type RestorePoint, readRestores, writeRestores } from "./restores.ts";

/** Where a resumed subscription goes on in one partition. */
export interface ResumePosition {
  readonly partition: number;
  /** The next offset that is wanted. */
  readonly offset: number;
  readonly logEpoch: number;
  /** As SUBSCRIBED stated them; absent = none. */
  readonly restores?: readonly RestorePoint[] | undefined;
}

/**
 * `["earliest"] | ["latest"] | ["time", timeMs] | ["offset", offset] |
 * ["resume", topicId, [[partition, offset, logEpoch, restores]]]`
 */
export type SubscribeFrom =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  /** The first record appended at or after this time, ms since the epoch. */
  | { readonly kind: "time"; readonly timeMs: number }
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "resume"; readonly topicId: number; readonly positions: readonly ResumePosition[] };

/** `stream` and `live`; what else a peer may ask for is refused by the server. */
export type SubscribeMode = "stream" | "live";

/**
 * Client to server:
 * `[32, requestId, subscriptionId, topic, [partition]?, from, creditLimit, mode, extensions]`
 */
export interface SubscribeFrame {
  readonly requestId: number;
  /** Chosen by the client, unique among the session's subscriptions. */
  readonly subscriptionId: number;
  readonly topic: string;
  /** undefined: all of them. */
  readonly partitions?: readonly number[] | undefined;
  readonly from: SubscribeFrom;
  /** Cumulative bytes of DELIVER frames that the subscription may be sent in all. */
  readonly creditLimit: number;
  readonly mode: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

const POSITION_ELEMENTS = 3;

export function encodeSubscribe(writer: FrameWriter, frame: SubscribeFrame): void {
  writer.arrayHeader(9);
  writer.uint(FRAME_TYPE.SUBSCRIBE);
  writer.uint(frame.requestId);
  writer.uint(frame.subscriptionId);
  writer.str(frame.topic);
  writePartitions(writer, frame.partitions);
  writeFrom(writer, frame.from);
  writer.uint(frame.creditLimit);
  writer.str(frame.mode);
  writer.any(frame.extensions);
}

export function decodeSubscribe(reader: FrameReader): SubscribeFrame {
  const requestId = reader.required("requestId").uint();
  const subscriptionId = reader.required("subscriptionId").uint();
  const topic = reader.required("topic").str();
  const partitions = readPartitions(reader.required("partitions"));
  const from = readFrom(reader.required("from"));
  const creditLimit = reader.required("creditLimit").uint();
  const mode = reader.more() ? reader.str() : "stream";
  const extensions = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, subscriptionId, topic, partitions, from, creditLimit, mode, extensions };
}

function writeFrom(writer: FrameWriter, from: SubscribeFrom): void {
  switch (from.kind) {
    case "earliest":
    case "latest":
      writer.arrayHeader(1);
      writer.str(from.kind);
      break;
    case "time":
      writer.arrayHeader(2);
      writer.str(from.kind);
      writer.uint(from.timeMs);
      break;
    case "offset":
      writer.arrayHeader(2);
      writer.str(from.kind);
      writer.uint(from.offset);
      break;
    case "resume":
      writer.arrayHeader(3);
      writer.str(from.kind);
      writer.uint(from.topicId);
      writer.arrayHeader(from.positions.length);
      for (const position of from.positions) {
        const { restores = [] } = position;
        writer.arrayHeader(POSITION_ELEMENTS + (restores.length > 0 ? 1 : 0));
        writer.uint(position.partition);
        writer.uint(position.offset);
        writer.uint(position.logEpoch);
        if (restores.length > 0) writeRestores(writer, restores);
      }
      break;
  }
}

function readFrom(reader: FrameReader): SubscribeFrom {
  const elements = readRow(reader, 1);
  const kind = reader.str();
  switch (kind) {
    case "earliest":
    case "latest":
      skipRest(reader, elements, 1);
      return { kind };
    case "time": {
      if (elements < 2) reader.malformed("from time needs a time");
      const timeMs = reader.uint();
      skipRest(reader, elements, 2);
      return { kind, timeMs };
    }
    case "offset": {
      if (elements < 2) reader.malformed("from offset needs an offset");
      const offset = reader.uint();
      skipRest(reader, elements, 2);
      return { kind, offset };
    }
    case "resume": {
      if (elements < 3) reader.malformed("from resume needs a topicId and positions");
      const topicId = reader.uint();
      const positions = readPositions(reader);
      skipRest(reader, elements, 3);
      return { kind, topicId, positions };
    }
    default:
      throw reader.error("INVALID_FROM", `a subscription cannot start from ${JSON.stringify(kind)}`);
  }
}

function readPositions(reader: FrameReader): ResumePosition[] {
  const positions: ResumePosition[] = [];
  for (let left = reader.arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, POSITION_ELEMENTS);
    const position = { partition: reader.uint(), offset: reader.uint(), logEpoch: reader.uint() };
    positions.push(elements > POSITION_ELEMENTS ? { ...position, ...readRestores(reader) } : position);
    skipRest(reader, elements, POSITION_ELEMENTS + 1);
  }
  return positions;
}
