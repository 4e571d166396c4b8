import { sidecarPartitionAt } from "../lookup/sidecar-layout.ts";
import type { FileIndex } from "./settled-index.ts";

/** Adds up bytes by partition. */
export class PartitionBytes {
  private readonly topics: Map<number, Map<number, number>> = new Map();
  private count = 0;

  add(topicId: number, partition: number, bytes: number): void {
    let partitions = this.topics.get(topicId);
    if (partitions === undefined) {
      partitions = new Map();
      this.topics.set(topicId, partitions);
    }
    const before = partitions.get(partition);
    if (before === undefined) this.count++;
    partitions.set(partition, (before ?? 0) + bytes);
  }

  /** Everything that a file holds. */
  addIndex({ header, table }: FileIndex): void {
    for (let i = 0; i < header.partitionCount; i++) {
      const { topicId, partition, bytes } = sidecarPartitionAt(table, i);
      this.add(topicId, partition, bytes);
    }
  }

  /** topicId, partition and bytes in turn, sorted by the first two, in a buffer of their own. */
  rows(): Float64Array {
    const rows = new Float64Array(this.count * 3);
    let at = 0;
    for (const [topicId, partitions] of [...this.topics].sort(([a], [b]) => a - b)) {
      for (const [partition, bytes] of [...partitions].sort(([a], [b]) => a - b)) {
        rows[at] = topicId;
        rows[at + 1] = partition;
        rows[at + 2] = bytes;
        at += 3;
      }
    }
    return rows;
  }
}
