import type { Journal } from "@millrace/journal";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import type { Clock } from "./clock.ts";
import type { Partition } from "./partition.ts";

/** What appending needs of the shard. */
export interface OwnAppendContext {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Runs `stage`, which appends to the journal from private memory. */
  stagePrivately(stage: () => void): void;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
  /** The partition's high watermark has risen. */
  advanced(partition: Partition): void;
}

/**
 * Appends batches that the shard makes itself (records of the catalog, dead letters). They never stand in the inbound ring, so
 * they are read from the journal's files, and show when they are committed, whatever their topic's durability.
 * Shard thread only.
 */
export class OwnAppends {
  readonly #context: OwnAppendContext;

  constructor(context: OwnAppendContext) {
    this.#context = context;
  }

  /**
   * Appends a batch at the end of the partition.
   * @param stored the batch and its checksum's trailer; copied.
   * @returns its base offset.
   * @throws MillraceError DISK_FULL when the journal takes no more; nothing has changed then.
   */
  append(partition: Partition, count: number, stored: Uint8Array): number {
    const { journal, clock } = this.#context;
    const { topicId, partition: number, nextOffset: baseOffset } = partition;
    const timeMs = Math.max(clock.wallMs(), partition.lastTimeMs);
    this.#context.stagePrivately(() =>
      journal.stageBatch(topicId, number, baseOffset, count, timeMs, stored),
    );
    const nextOffset = baseOffset + count;
    partition.appendedBytes += ENTRY_HEADER_BYTES + stored.length;
    partition.nextOffset = nextOffset;
    partition.lastTimeMs = timeMs;
    partition.tail.pushElsewhere(baseOffset);
    // Nothing that is appended behind it may show before it does.
    partition.pendingSynced += 1;
    this.#context.afterCommit(() => {
      partition.pendingSynced -= 1;
      if (nextOffset <= partition.highWatermark) return;
      partition.highWatermark = nextOffset;
      this.#context.advanced(partition);
    });
    return baseOffset;
  }
}
