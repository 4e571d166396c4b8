import type { PartitionInfo } from "@millrace/client";
import type { AckedRecord } from "./publishing-load.ts";

interface RetainedPartition {
  /** By offset, in any order. */
  readonly records: Map<number, AckedRecord>;
  logStart: number;
  writtenBytes: number;
  keptBytes: number;
}

/** What a topic with retention must hold: every record that was acknowledged and lies behind its log's start. */
export class RetainedTopic {
  writtenBytes = 0;
  expiredBytes = 0;
  expiredRecords = 0;
  readonly #partitions: Map<number, RetainedPartition> = new Map();

  acknowledged(record: AckedRecord): void {
    const { bytes, ack } = record;
    const partition = this.#partition(ack.partition);
    partition.records.set(ack.offset, record);
    partition.writtenBytes += bytes;
    partition.keptBytes += bytes;
    this.writtenBytes += bytes;
  }

  find(partition: number, offset: number): AckedRecord | undefined {
    return this.#partitions.get(partition)?.records.get(offset);
  }

  /** What was acknowledged and has not expired, in any order. */
  records(partition: number): Iterable<AckedRecord> {
    return this.#partition(partition).records.values();
  }

  /** Bytes of values: acknowledged at all, and of those what has not expired. */
  bytes(partition: number): { readonly written: number; readonly kept: number } {
    const { writtenBytes, keptBytes } = this.#partition(partition);
    return { written: writtenBytes, kept: keptBytes };
  }

  logStart(partition: number): number {
    return this.#partition(partition).logStart;
  }

  /** The log starts there now. @returns the records that have expired by that */
  expire({
    partition: number,
    logStartOffset,
  }: Pick<PartitionInfo, "partition" | "logStartOffset">): AckedRecord[] {
    const partition = this.#partition(number);
    const expired: AckedRecord[] = [];
    partition.logStart = logStartOffset;
    for (const [offset, record] of partition.records) {
      if (offset >= logStartOffset) continue;
      partition.records.delete(offset);
      partition.keptBytes -= record.bytes;
      this.expiredBytes += record.bytes;
      this.expiredRecords += 1;
      expired.push(record);
    }
    return expired;
  }

  #partition(number: number): RetainedPartition {
    let partition = this.#partitions.get(number);
    if (partition === undefined) {
      partition = { records: new Map(), logStart: 0, writtenBytes: 0, keptBytes: 0 };
      this.#partitions.set(number, partition);
    }
    return partition;
  }
}
