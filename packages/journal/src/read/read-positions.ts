import { JOURNAL_LIMITS } from "../limits.ts";
import type { SettledName } from "../settled/settled-layout.ts";
import type { Ahead } from "./look-ahead.ts";

/** Where a read ended, so that the next one of the same stream need not search. */
export interface ReadPosition {
  readonly path: string;
  /** File offset of the next entry. */
  readonly at: number;
  /** The settled file; undefined: a segment. */
  readonly settled: SettledName | undefined;
  /** Nothing of the partition is behind it in the file. */
  readonly exhausted: boolean;
  /** What was asked for ahead of it. */
  readonly ahead?: Ahead | undefined;
}

/**
 * Remembers where reads ended. Streams are known by what they ask for next: the partition, and the offset at which the
 * last read ended. Whoever asks for something else has to search. One thread.
 */
export class ReadPositions {
  private readonly countMax: number;
  /** In the order of their making. */
  private readonly positions: Map<string, ReadPosition> = new Map();

  constructor(countMax: number = JOURNAL_LIMITS.coldReaderPositionsMax) {
    this.countMax = countMax;
  }

  get count(): number {
    return this.positions.size;
  }

  /** The position goes with its stream: a second one at the same offset searches. */
  take(shardId: number, topicId: number, partition: number, offset: number): ReadPosition | undefined {
    const key = keyOf(shardId, topicId, partition, offset);
    const position = this.positions.get(key);
    if (position !== undefined) this.positions.delete(key);
    return position;
  }

  put(shardId: number, topicId: number, partition: number, offset: number, position: ReadPosition): void {
    const key = keyOf(shardId, topicId, partition, offset);
    this.positions.delete(key);
    this.positions.set(key, position);
    if (this.positions.size <= this.countMax) return;
    for (const oldest of this.positions.keys()) {
      this.positions.delete(oldest);
      return;
    }
  }
}

function keyOf(shardId: number, topicId: number, partition: number, offset: number): string {
  return `${shardId}:${topicId}:${partition}:${offset}`;
}
