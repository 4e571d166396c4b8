import type { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import type { Journal, JournalLocation } from "@millrace/journal";
import type { SettledPart } from "@millrace/journal/internal";
import type { ColdRead, ColdReads } from "../shard/delivery.ts";
import { COLD_READ, encodeColdRead } from "./cold-read-message.ts";

/** The ends of ReaderLinkBuffers into which a shard thread writes. */
export interface ColdReadRings {
  readonly reads: OneToOneRingBuffer;
  readonly fetches: OneToOneRingBuffer;
}

/** Takes a shard's cold reads to the reader thread. Shard thread only; the thread's shards share the rings. */
export class RingColdReads implements ColdReads {
  readonly #shardId: number;
  readonly #journal: Journal;
  readonly #rings: ColdReadRings;
  readonly #readerDoorbell: Doorbell;

  constructor(shardId: number, journal: Journal, rings: ColdReadRings, readerDoorbell: Doorbell) {
    this.#shardId = shardId;
    this.#journal = journal;
    this.#rings = rings;
    this.#readerDoorbell = readerDoorbell;
  }

  submit(read: ColdRead): boolean {
    const message = encodeColdRead({
      ...read,
      shardId: this.#shardId,
      endPosition: this.#journal.writtenPosition,
      settled: this.#settled(read),
      location: this.#location(read),
    });
    const ring = read.kind === "fetch" ? this.#rings.fetches : this.#rings.reads;
    if (ring.write(COLD_READ, message) < 0) return false;
    if (ring.publish()) this.#readerDoorbell.ring();
    return true;
  }

  #location({ kind, topicId, partition, offset, timeMs }: ColdRead): JournalLocation | undefined {
    const { index } = this.#journal;
    if (kind === "barrier") return undefined;
    if (kind === "time") return index.locateTime(topicId, partition, timeMs);
    return index.locate(topicId, partition, offset);
  }

  /** Which manifest the reader looks in; undefined when the journal has all that is wanted. */
  #settled({ kind, topicId, partition, offset, limitOffset }: ColdRead): SettledPart | undefined {
    const { settledGeneration, epoch, index } = this.#journal;
    if (settledGeneration === 0 || kind === "barrier") return undefined;
    const endOffset = index.firstOffset(topicId, partition) ?? limitOffset;
    if (kind !== "time" && offset >= endOffset) return undefined;
    return { epoch, generation: settledGeneration, endOffset };
  }
}
