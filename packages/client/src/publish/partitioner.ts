import { MillraceError, partitionForKey } from "@millrace/protocol";
import type { OutgoingRecord } from "../api/record.ts";

/**
 * Chooses the partition of a record: the one it names, else by its key as Kafka's clients do, else the same one until
 * its batch is closed and then the next one (full batches cost a fraction of many small ones).
 */
export class Partitioner {
  readonly #topic: string;
  readonly #partitions: number;
  #sticky = 0;

  /** `start` is any number of 0..1; not all producers should begin with partition 0. */
  constructor(topic: string, partitions: number, start: number) {
    this.#topic = topic;
    this.#partitions = partitions;
    this.#sticky = Math.floor(start * partitions) % partitions;
  }

  /** @throws MillraceError UNKNOWN_PARTITION */
  partitionOf(record: OutgoingRecord): number {
    const { partition, key } = record;
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < this.#partitions) return partition;
      const details = { topic: this.#topic, partition, partitions: this.#partitions };
      throw new MillraceError("UNKNOWN_PARTITION", `topic ${this.#topic} has no partition ${partition}`, {
        details,
      });
    }
    return key === undefined ? this.#sticky : partitionForKey(key, this.#partitions);
  }

  /** The batch of that partition takes no more records. */
  onBatchClosed(partition: number): void {
    if (partition === this.#sticky) this.#sticky = (this.#sticky + 1) % this.#partitions;
  }
}
