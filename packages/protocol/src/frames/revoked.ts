import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { type HeldPartition, readHeldPartitions, writeHeldPartitions } from "./held-partition.ts";

/**
 * Server to client: `[67, consumerId, [[partition, assignmentEpoch]], withinMs]`. Nothing more is delivered for these
 * partitions. The consumer finishes what it has of them, commits, and says RELEASE; after `withinMs` they are taken.
 */
export interface RevokedFrame {
  readonly consumerId: number;
  readonly partitions: readonly HeldPartition[];
  /** 0: they are gone already. */
  readonly withinMs: number;
}

export function encodeRevoked(writer: FrameWriter, frame: RevokedFrame): void {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.REVOKED);
  writer.uint(frame.consumerId);
  writeHeldPartitions(writer, frame.partitions);
  writer.uint(frame.withinMs);
}

export function decodeRevoked(reader: FrameReader): RevokedFrame {
  const consumerId = reader.required("consumerId").uint();
  const partitions = readHeldPartitions(reader.required("partitions"));
  const withinMs = reader.more() ? reader.uint() : 0;
  reader.close();
  return { consumerId, partitions, withinMs };
}
