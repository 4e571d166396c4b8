import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** A partition that a stream consumer holds, or held, and since which assignment: `[partition, assignmentEpoch]` */
export interface HeldPartition {
  readonly partition: number;
  readonly assignmentEpoch: number;
}

const HELD_ELEMENTS = 2;

export function writeHeldPartitions(writer: FrameWriter, partitions: readonly HeldPartition[]): void {
  writer.arrayHeader(partitions.length);
  for (const { partition, assignmentEpoch } of partitions) {
    writer.arrayHeader(HELD_ELEMENTS);
    writer.uint(partition);
    writer.uint(assignmentEpoch);
  }
}

export function readHeldPartitions(reader: FrameReader): HeldPartition[] {
  const partitions: HeldPartition[] = [];
  for (let left = reader.arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, HELD_ELEMENTS);
    partitions.push({ partition: reader.uint(), assignmentEpoch: reader.uint() });
    skipRest(reader, elements, HELD_ELEMENTS);
  }
  return partitions;
}
