/**
 * The leases of one shard: up to 32 consecutive records given to one consumer under one token. A lease is
 * named by its `slot` while it is handled and by its `counter` outside: the counter of a lease that ended is
 * never found again. Times are monotonic milliseconds of the caller. Shard thread only.
 */
export class LeaseTable {
  /** `capacityMax`: leases at a time, at most LEASES_MAX. */
  constructor(capacityMax: number) {
    throw new Error(`not yet: ${capacityMax}`);
  }

  /** Leases that are out. */
  get count(): number {
    throw new Error("not yet");
  }

  /**
   * Gives `count` records (1 to 32) from `offset` on to a consumer; `owner` is the caller's number of the queue
   * they belong to. Returns the lease's counter, or -1 when the table is full: ask again when a lease ended.
   */
  grant(
    _owner: number,
    _consumer: number,
    _offset: number,
    _count: number,
    _deliveries: number,
    _deadlineMs: number,
  ): number {
    throw new Error("not yet");
  }

  /** Slot of the lease with that counter, or -1: it ended, or never was. */
  find(_counter: number): number {
    throw new Error("not yet");
  }

  ownerAt(_slot: number): number {
    throw new Error("not yet");
  }
  consumerAt(_slot: number): number {
    throw new Error("not yet");
  }
  /** Offset of its first record. */
  offsetAt(_slot: number): number {
    throw new Error("not yet");
  }
  countAt(_slot: number): number {
    throw new Error("not yet");
  }
  /** This delivery included. */
  deliveriesAt(_slot: number): number {
    throw new Error("not yet");
  }
  /** Bit i, of 32 unsigned: record `offsetAt + i` is not settled. */
  openAt(_slot: number): number {
    throw new Error("not yet");
  }

  /**
   * The open bits (as openAt) of the records from `first` on, `count` of them; what is outside the lease is
   * left out. What settle() will clear.
   */
  openIn(_slot: number, _first: number, _count: number): number {
    throw new Error("not yet");
  }

  /** Settles records; how many were open. The slot is free, and must not be used again, once none is. */
  settle(_slot: number, _first: number, _count: number): number {
    throw new Error("not yet");
  }

  extend(_slot: number, _deadlineMs: number): void {
    throw new Error("not yet");
  }

  /** Slot of a lease whose deadline is at or before `nowMs`, the earliest first, or -1. It stays: release() it. */
  expired(_nowMs: number): number {
    throw new Error("not yet");
  }

  /** Infinity when no lease is out. */
  nextDeadlineMs(): number {
    throw new Error("not yet");
  }

  /** Ends a lease whatever is open in it. */
  release(_slot: number): void {
    throw new Error("not yet");
  }

  /** Slot of a lease of that consumer, or -1. */
  firstOf(_consumer: number): number {
    throw new Error("not yet");
  }

  /** Ends all leases of one queue (it was moved by seek, or deleted); how many. Looks at every lease. */
  releaseOwner(_owner: number): number {
    throw new Error("not yet");
  }
}
