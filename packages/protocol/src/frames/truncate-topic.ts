import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readPartitions, readRow, skipRest, writePartitions } from "./element.ts";

/** `["offset", offset] | ["time", timeMs] | ["latest"]` */
export type TruncateBefore =
  | { readonly kind: "offset"; readonly offset: number }
  /** The first record appended at or after this time, ms since the epoch, is the first that is kept. */
  | { readonly kind: "time"; readonly timeMs: number }
  /** Every record that can be read now. */
  | { readonly kind: "latest" };

/** Client to server: `[56, requestId, topic, [partition]?, before]`. Answered by TRUNCATED. */
export interface TruncateTopicFrame {
  readonly requestId: number;
  /** The topic's name. */
  readonly topic: string;
  /** undefined: all of them. */
  readonly partitions?: readonly number[] | undefined;
  readonly before: TruncateBefore;
}

export function encodeTruncateTopic(writer: FrameWriter, frame: TruncateTopicFrame): void {
  writer.arrayHeader(5);
  writer.uint(FRAME_TYPE.TRUNCATE_TOPIC);
  writer.uint(frame.requestId);
  writer.str(frame.topic);
  writePartitions(writer, frame.partitions);
  writeBefore(writer, frame.before);
}

export function decodeTruncateTopic(reader: FrameReader): TruncateTopicFrame {
  const requestId = reader.required("requestId").uint();
  const topic = reader.required("topic").str();
  const partitions = readPartitions(reader.required("partitions"));
  const before = readBefore(reader.required("before"));
  reader.close();
  return { requestId, topic, partitions, before };
}

function writeBefore(writer: FrameWriter, before: TruncateBefore): void {
  writer.arrayHeader(before.kind === "latest" ? 1 : 2);
  writer.str(before.kind);
  if (before.kind === "offset") writer.uint(before.offset);
  else if (before.kind === "time") writer.uint(before.timeMs);
}

function readBefore(reader: FrameReader): TruncateBefore {
  const elements = readRow(reader, 1);
  const kind = reader.str();
  switch (kind) {
    case "latest":
      skipRest(reader, elements, 1);
      return { kind };
    case "offset": {
      if (elements < 2) reader.malformed("before offset needs an offset");
      const offset = reader.uint();
      skipRest(reader, elements, 2);
      return { kind, offset };
    }
    case "time": {
      if (elements < 2) reader.malformed("before time needs a time");
      const timeMs = reader.uint();
      skipRest(reader, elements, 2);
      return { kind, timeMs };
    }
    default:
      throw reader.error("INVALID_FROM", `a topic cannot be truncated before ${JSON.stringify(kind)}`);
  }
}
