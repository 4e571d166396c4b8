import type { Partition } from "./partition.ts";
import type { StateChange } from "./shard-state.ts";

/** Records of the partition below `offset` are given up. */
export interface LogStartMove {
  readonly partition: Partition;
  /** At most the partition's high watermark. */
  readonly offset: number;
}

/** Ways to make a change durable. */
export interface LogStartJournal {
  /** Stages one STATE entry, whose changes apply together. */
  stageChanges(changes: readonly StateChange[]): void;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
  /** The partition's start has risen for readers. */
  moved(partition: Partition): void;
}

/**
 * Moves the starts of logs forward, for whoever truncates and for retention. A start counts for readers once it is
 * durable: what they were refused must not be there again after a crash. Shard thread only.
 */
export class LogStarts {
  readonly #journal: LogStartJournal;

  constructor(journal: LogStartJournal) {
    this.#journal = journal;
  }

  /**
   * Moves any number of partitions in one entry of the journal. A start never goes back: a move that does not go beyond
   * what was asked for before changes nothing.
   * @param done runs when all the moves, also those asked for before, are durable and show.
   * @throws RangeError for an offset beyond the high watermark; MillraceError DISK_FULL when the journal takes no more.
   *   Nothing has changed then.
   */
  move(moves: readonly LogStartMove[], done: () => void): void {
    const changes: StateChange[] = [];
    for (const { partition, offset } of moves) {
      if (offset > partition.highWatermark) {
        throw new RangeError(
          `a log cannot start behind its end: offset=${offset} highWatermark=${partition.highWatermark}`,
        );
      }
      if (offset > partition.logStartStaged) {
        changes.push(["start", partition.topicId, partition.partition, offset]);
      }
    }
    if (changes.length > 0) this.#journal.stageChanges(changes);
    for (const { partition, offset } of moves) {
      partition.logStartStaged = Math.max(partition.logStartStaged, offset);
    }
    this.#journal.afterCommit(() => {
      for (const { partition, offset } of moves) {
        partition.logStartOffset = Math.max(partition.logStartOffset, offset);
        partition.fetched?.dropBefore(partition.logStartOffset);
        this.#journal.moved(partition);
      }
      done();
    });
  }
}
