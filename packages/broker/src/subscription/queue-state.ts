/** What is to be known of a queue when it is made. */
export interface QueueOptions {
  /** Records of one key are given one at a time and in order. */
  readonly keyed: boolean;
  /** The first offset that is given. */
  readonly start: number;
  /** Only what select() names is given: redriven records of a dead-letter topic. */
  readonly selected?: boolean;
  /** Offsets between the oldest unfinished record and the newest one given. */
  readonly spanMax?: number;
}

export interface QueueCounts {
  readonly available: number;
  readonly leased: number;
  /** For their retry, or behind their key. */
  readonly waiting: number;
}

export type RecordState = "available" | "leased" | "waiting";

/**
 * Which records of one partition a queue or keyed subscription has finished, and which comes next. Knows
 * nothing of consumers and tokens (see LeaseTable). Times are monotonic milliseconds of the caller. Shard thread only.
 */
export class QueueState {
  readonly keyed: boolean;
  readonly selected: boolean;

  constructor(options: QueueOptions) {
    this.keyed = options.keyed;
    this.selected = options.selected ?? false;
  }

  /** The oldest unfinished offset: everything below is done with. */
  get floor(): number {
    throw new Error("not yet");
  }

  /** Every offset from here on was never given since the start, a restart or a seek. */
  get cursor(): number {
    throw new Error("not yet");
  }

  /** Deliveries of the run that take() gave, this one included. */
  get deliveries(): number {
    throw new Error("not yet");
  }

  /**
   * The offset to look at now: a due retry, a record whose key got free, else a fresh one below `highWatermark`;
   * -1: none, until nextTimerMs() or until something changes. Answer it with take() or, when there is no such
   * record, with skip(); asking again without that is harmless.
   */
  next(_nowMs: number, _highWatermark: number): number {
    throw new Error("not yet");
  }

  /**
   * Takes a run of records from `offset` on, which next() must have said just now, to be leased: at most `max`,
   * 32, and 1 when keyed; all have the same `deliveries`. `max` must not reach beyond the stored batch.
   * `keyHash` (up to 53 bits): undefined for a record without key, and in a queue that is not keyed. 0: nothing to
   * lease, it waits for its key or its time; ask next() again.
   */
  take(_offset: number, _max: number, _keyHash: number | undefined): number {
    throw new Error("not yet");
  }

  /** There are no records from `from` to `to - 1` any more, or never were. */
  skip(_from: number, _to: number): void {
    throw new Error("not yet");
  }

  /** Finishes records, in whatever state they are; how many were not finished. Frees their keys. */
  ack(_offset: number, _count: number): number {
    throw new Error("not yet");
  }

  /** Finishes a record that went to the dead-letter topic; false: it was finished. */
  dead(_offset: number): boolean {
    throw new Error("not yet");
  }

  /**
   * Gives a leased record back, to be given again from `notBeforeMs` on; `deliveries` so far. Its key stays held.
   * Also replays what the journal says of records that were not given since. False: it is finished.
   */
  retry(_offset: number, _deliveries: number, _notBeforeMs: number): boolean {
    throw new Error("not yet");
  }

  /** Gives a leased record back at once; `deliveries` without the one that is not to count. */
  release(_offset: number, _deliveries: number): boolean {
    throw new Error("not yet");
  }

  /** Selected queues: gives this record from now on. False: it is there already, or the queue is full. */
  select(_offset: number): boolean {
    throw new Error("not yet");
  }

  /**
   * Forgets everything and goes on at `offset`, back or forth. Leases that are out are to be ended by the caller
   * (LeaseTable.releaseOwner) in the same step: a late settle would be applied to the new pass.
   */
  seek(_offset: number): void {
    throw new Error("not yet");
  }

  isFinished(_offset: number): boolean {
    throw new Error("not yet");
  }

  counts(_nowMs: number, _highWatermark: number): QueueCounts {
    throw new Error("not yet");
  }

  /** When next() may have something that it has not now; Infinity: not by time alone. */
  nextTimerMs(): number {
    throw new Error("not yet");
  }

  /** The oldest unfinished offset when nothing newer is given because of it, else -1. */
  blockedOffset(): number {
    throw new Error("not yet");
  }

  /** Unfinished records from `from` on, ascending, at most `limit`. `deliveries` counts a lease that is out; dueMs 0: now. */
  unfinished(
    _from: number,
    _limit: number,
    _nowMs: number,
    _highWatermark: number,
    _visit: (offset: number, state: RecordState, deliveries: number, dueMs: number) => void,
  ): void {
    throw new Error("not yet");
  }

  /** Bytes of memory of its tables. */
  get byteSize(): number {
    throw new Error("not yet");
  }

  /** What must outlive a restart: leases do not. `wallMs`: the wall clock at `nowMs`. */
  encode(_nowMs: number, _wallMs: number): Uint8Array {
    throw new Error("not yet");
  }

  /** @throws RangeError when the bytes are no such state. */
  static decode(_bytes: Uint8Array, _nowMs: number, _wallMs: number, _spanMax?: number): QueueState {
    throw new Error("not yet");
  }
}
