import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { type HeldPartition, readHeldPartitions, writeHeldPartitions } from "./held-partition.ts";

/**
 * Client to server: `[68, consumerId, [[partition, assignmentEpoch]]]`. The consumer is done with these partitions, which
 * were revoked; not answered.
 */
export interface ReleaseFrame {
  readonly consumerId: number;
  readonly partitions: readonly HeldPartition[];
}

export function encodeRelease(writer: FrameWriter, frame: ReleaseFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.RELEASE);
  writer.uint(frame.consumerId);
  writeHeldPartitions(writer, frame.partitions);
}

export function decodeRelease(reader: FrameReader): ReleaseFrame {
  const consumerId = reader.required("consumerId").uint();
  const partitions = readHeldPartitions(reader.required("partitions"));
  reader.close();
  return { consumerId, partitions };
}
