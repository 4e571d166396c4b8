import { BROKER_LIMITS } from "../limits.ts";

/** Outcomes of ProducerState.check; zero or more is not returned. */
export const SEQUENCE_NEW = -1;
export const SEQUENCE_GAP = -2;
export const SEQUENCE_FENCED = -3;
/** Stored before; its offset is `duplicateOffset`, or NaN when that is no longer remembered. */
export const SEQUENCE_DUPLICATE = -4;

const RUN_FIELDS = 3;

/**
 * What a partition remembers of one idempotent producer: the epoch, the next sequence it expects, and where
 * the newest sequences went, as runs [firstSequence, count, baseOffset]. A producer that is alone on its
 * partition has one run, however much it publishes.
 */
export class ProducerState {
  readonly producerId: number;
  epoch: number;
  nextSequence: number;
  lastActiveMs: number;
  /** Set by check() when it answers SEQUENCE_DUPLICATE. */
  duplicateOffset: number = Number.NaN;
  #runs: number[] = [];

  constructor(producerId: number, epoch: number, nextSequence: number, nowMs: number) {
    this.producerId = producerId;
    this.epoch = epoch;
    this.nextSequence = nextSequence;
    this.lastActiveMs = nowMs;
  }

  check(epoch: number, baseSequence: number, count: number): number {
    if (epoch < this.epoch) return SEQUENCE_FENCED;
    // A new epoch starts a new sequence: what the old one had in flight is fenced off from here on.
    if (epoch > this.epoch) return baseSequence === 0 ? SEQUENCE_NEW : SEQUENCE_GAP;
    if (baseSequence === this.nextSequence) return SEQUENCE_NEW;
    // A retry that reaches past what is stored is not a retry: its end was never stored.
    if (baseSequence + count > this.nextSequence) return SEQUENCE_GAP;
    this.duplicateOffset = this.#offsetOf(baseSequence, count);
    return SEQUENCE_DUPLICATE;
  }

  /** The batch was appended at baseOffset. */
  record(epoch: number, baseSequence: number, count: number, baseOffset: number, nowMs: number): void {
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.#runs = [];
    }
    this.nextSequence = baseSequence + count;
    this.lastActiveMs = nowMs;
    const runs = this.#runs;
    const last = runs.length - RUN_FIELDS;
    if (last >= 0) {
      const lastCount = runs[last + 1] as number;
      if (
        (runs[last] as number) + lastCount === baseSequence &&
        (runs[last + 2] as number) + lastCount === baseOffset
      ) {
        runs[last + 1] = lastCount + count;
        return;
      }
    }
    if (last < 0) {
      // As long as it has to be: a push to an empty array makes room for seventeen, and most have one run.
      this.#runs = [baseSequence, count, baseOffset];
      return;
    }
    runs.push(baseSequence, count, baseOffset);
    if (runs.length > BROKER_LIMITS.producerRunsMax * RUN_FIELDS) runs.splice(0, RUN_FIELDS);
  }

  /** For checkpoints: the runs as flat numbers. */
  get runs(): readonly number[] {
    return this.#runs;
  }

  restoreRuns(runs: number[]): void {
    this.#runs = runs;
  }

  #offsetOf(sequence: number, count: number): number {
    const runs = this.#runs;
    for (let i = runs.length - RUN_FIELDS; i >= 0; i -= RUN_FIELDS) {
      const first = runs[i] as number;
      const length = runs[i + 1] as number;
      if (sequence >= first && sequence + count <= first + length) {
        return (runs[i + 2] as number) + (sequence - first);
      }
    }
    return Number.NaN;
  }
}

/** Bounds the number of producer states over all partitions of a shard: the longest idle are forgotten. */
export class ProducerTable {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  added(): void {
    this.#count += 1;
  }

  removed(count: number): void {
    this.#count -= count;
  }

  get isFull(): boolean {
    return this.#count >= BROKER_LIMITS.producersPerShardMax;
  }

  /**
   * Drops what was idle for longer than the limit and, if that is not enough, the longest idle tenth. A sweep
   * costs one pass over all states, so a tenth at once keeps the cost per new producer constant.
   */
  sweep(partitions: readonly { readonly producers: Map<number, ProducerState> }[], nowMs: number): void {
    const times = new Float64Array(this.#count);
    let filled = 0;
    for (const partition of partitions) {
      for (const state of partition.producers.values()) {
        times[filled] = state.lastActiveMs;
        filled += 1;
      }
    }
    times.sort();
    const surplus = this.#count - Math.floor(BROKER_LIMITS.producersPerShardMax * 0.9);
    const byCount = surplus > 0 ? (times[surplus - 1] ?? Number.NEGATIVE_INFINITY) : Number.NEGATIVE_INFINITY;
    // Of those that were last active in the same moment, no more go than must.
    let tied = surplus > 0 ? surplus - times.indexOf(byCount) : 0;
    const idle = nowMs - BROKER_LIMITS.producerIdleMsMax;
    for (const partition of partitions) {
      for (const [producerId, state] of partition.producers) {
        const activeMs = state.lastActiveMs;
        if (activeMs === byCount && activeMs > idle) {
          if (tied === 0) continue;
          tied -= 1;
        } else if (activeMs > byCount && activeMs > idle) continue;
        partition.producers.delete(producerId);
        this.#count -= 1;
      }
    }
  }
}
