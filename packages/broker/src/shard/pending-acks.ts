import { BROKER_LIMITS } from "../limits.ts";
import type { Partition } from "./partition.ts";

/**
 * Publishes that were appended and are not acknowledged yet, as runs, oldest first: a circular table of
 * columns that grows up to pendingAcksMax. Shard thread only.
 */
export class PendingAcks {
  #mask: number = INITIAL - 1;
  #positions: Float64Array = new Float64Array(INITIAL);
  #producerIds: Float64Array = new Float64Array(INITIAL);
  #firstSequences: Float64Array = new Float64Array(INITIAL);
  #baseOffsets: Float64Array = new Float64Array(INITIAL);
  #counts: Float64Array = new Float64Array(INITIAL);
  #sessions: Int32Array = new Int32Array(INITIAL);
  #cycles: Int32Array = new Int32Array(INITIAL);
  #partitions: (Partition | undefined)[] = new Array(INITIAL).fill(undefined);
  #first = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#first;
  }

  get isFull(): boolean {
    return this.#end - this.#first >= BROKER_LIMITS.pendingAcksMax;
  }

  /**
   * Adds a run that may be acknowledged once `position` is durable enough. A run that continues the newest
   * one of the same duty cycle joins it: the whole cycle is committed together, so nobody waits longer.
   */
  push(
    position: number,
    cycle: number,
    sessionId: number,
    partition: Partition,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
  ): boolean {
    const last = (this.#end - 1) & this.#mask;
    if (this.#end > this.#first && this.#cycles[last] === cycle && this.#partitions[last] === partition) {
      const lastCount = this.#counts[last] as number;
      if (
        this.#sessions[last] === sessionId &&
        this.#producerIds[last] === producerId &&
        (this.#firstSequences[last] as number) + lastCount === firstSequence &&
        (this.#baseOffsets[last] as number) + lastCount === baseOffset
      ) {
        this.#counts[last] = lastCount + count;
        this.#positions[last] = position;
        return false;
      }
    }
    if (this.#end - this.#first > this.#mask) this.#grow();
    const index = this.#end & this.#mask;
    this.#positions[index] = position;
    this.#cycles[index] = cycle;
    this.#sessions[index] = sessionId;
    this.#partitions[index] = partition;
    this.#producerIds[index] = producerId;
    this.#firstSequences[index] = firstSequence;
    this.#counts[index] = count;
    this.#baseOffsets[index] = baseOffset;
    this.#end += 1;
    return true;
  }

  /** Index of the oldest run if everything up to `position` is durable enough for it, else -1. */
  peek(position: number): number {
    if (this.#first === this.#end) return -1;
    const index = this.#first & this.#mask;
    return (this.#positions[index] as number) <= position ? index : -1;
  }

  /** Runs of these sessions are released to nobody: their session is 0 from now on. */
  forget(isGone: (sessionId: number) => boolean): void {
    for (let i = this.#first; i < this.#end; i += 1) {
      const index = i & this.#mask;
      if (isGone(this.#sessions[index] as number)) this.#sessions[index] = NO_SESSION;
    }
  }

  shift(): void {
    this.#partitions[this.#first & this.#mask] = undefined;
    this.#first += 1;
  }

  partitionAt(index: number): Partition {
    return this.#partitions[index] as Partition;
  }
  sessionAt(index: number): number {
    return this.#sessions[index] as number;
  }
  producerIdAt(index: number): number {
    return this.#producerIds[index] as number;
  }
  firstSequenceAt(index: number): number {
    return this.#firstSequences[index] as number;
  }
  countAt(index: number): number {
    return this.#counts[index] as number;
  }
  baseOffsetAt(index: number): number {
    return this.#baseOffsets[index] as number;
  }

  #grow(): void {
    const size = this.#mask + 1;
    const mask = size * 2 - 1;
    const move = <T extends Float64Array | Int32Array>(from: T, to: T): T => {
      for (let i = this.#first; i < this.#end; i += 1) to[i & mask] = from[i & this.#mask] as number;
      return to;
    };
    this.#positions = move(this.#positions, new Float64Array(size * 2));
    this.#producerIds = move(this.#producerIds, new Float64Array(size * 2));
    this.#firstSequences = move(this.#firstSequences, new Float64Array(size * 2));
    this.#baseOffsets = move(this.#baseOffsets, new Float64Array(size * 2));
    this.#counts = move(this.#counts, new Float64Array(size * 2));
    this.#sessions = move(this.#sessions, new Int32Array(size * 2));
    this.#cycles = move(this.#cycles, new Int32Array(size * 2));
    const partitions: (Partition | undefined)[] = new Array(size * 2).fill(undefined);
    for (let i = this.#first; i < this.#end; i += 1) partitions[i & mask] = this.#partitions[i & this.#mask];
    this.#partitions = partitions;
    this.#mask = mask;
  }
}

const INITIAL = 256;

/** No id of a session: that of a run that nobody waits for. */
export const NO_SESSION = 0;
