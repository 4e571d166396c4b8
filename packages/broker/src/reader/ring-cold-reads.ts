import type { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import type { Journal } from "@millrace/journal";
import type { SettledPart } from "@millrace/journal/internal";
import type { ColdRead, ColdReads } from "../shard/delivery.ts";
import { COLD_READ, encodeColdRead } from "./cold-read-message.ts";

/** Takes a shard's cold reads to the reader thread. Shard thread only; the thread's shards share the ring. */
export class RingColdReads implements ColdReads {
  readonly #shardId: number;
  readonly #journal: Journal;
  readonly #ring: OneToOneRingBuffer;
  readonly #readerDoorbell: Doorbell;

  constructor(shardId: number, journal: Journal, ring: OneToOneRingBuffer, readerDoorbell: Doorbell) {
    this.#shardId = shardId;
    this.#journal = journal;
    this.#ring = ring;
    this.#readerDoorbell = readerDoorbell;
  }

  submit(read: ColdRead): boolean {
    const journal = this.#journal;
    const location =
      read.kind === "read"
        ? journal.index.locate(read.topicId, read.partition, read.offset)
        : journal.index.locateTime(read.topicId, read.partition, read.timeMs);
    const message = encodeColdRead({
      ...read,
      shardId: this.#shardId,
      endPosition: journal.writtenPosition,
      settled: this.#settled(read),
      location,
    });
    if (this.#ring.write(COLD_READ, message) < 0) return false;
    if (this.#ring.publish()) this.#readerDoorbell.ring();
    return true;
  }

  /** Which manifest the reader looks in; undefined when the journal has all that is wanted. */
  #settled({ kind, topicId, partition, offset, limitOffset }: ColdRead): SettledPart | undefined {
    const { settledGeneration, epoch, index } = this.#journal;
    if (settledGeneration === 0) return undefined;
    const endOffset = index.firstOffset(topicId, partition) ?? limitOffset;
    if (kind === "read" && offset >= endOffset) return undefined;
    return { epoch, generation: settledGeneration, endOffset };
  }
}
