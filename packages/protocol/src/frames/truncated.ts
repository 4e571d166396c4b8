import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** What a truncated partition holds now. */
export interface TruncatedPartition {
  readonly partition: number;
  /** First offset that is kept. */
  readonly logStartOffset: number;
  /** Offset after the last record that may be read. */
  readonly highWatermark: number;
}

/** Server to client: `[57, requestId, topicId, [[partition, logStartOffset, highWatermark]]]`, once it is durable. */
export interface TruncatedFrame {
  readonly requestId: number;
  readonly topicId: number;
  readonly partitions: readonly TruncatedPartition[];
}

const PARTITION_ELEMENTS = 3;

export function encodeTruncated(writer: FrameWriter, frame: TruncatedFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.TRUNCATED);
  writer.uint(frame.requestId);
  writer.uint(frame.topicId);
  writer.arrayHeader(frame.partitions.length);
  for (const { partition, logStartOffset, highWatermark } of frame.partitions) {
    writer.arrayHeader(PARTITION_ELEMENTS);
    writer.uint(partition);
    writer.uint(logStartOffset);
    writer.uint(highWatermark);
  }
}

export function decodeTruncated(reader: FrameReader): TruncatedFrame {
  const requestId = reader.required("requestId").uint();
  const topicId = reader.required("topicId").uint();
  const partitions: TruncatedPartition[] = [];
  if (reader.more()) {
    for (let left = reader.arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
      const elements = readRow(reader, PARTITION_ELEMENTS);
      partitions.push({
        partition: reader.uint(),
        logStartOffset: reader.uint(),
        highWatermark: reader.uint(),
      });
      skipRest(reader, elements, PARTITION_ELEMENTS);
    }
  }
  reader.close();
  return { requestId, topicId, partitions };
}
