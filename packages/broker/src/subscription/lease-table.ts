import { NO_INTEGERS, NO_NUMBERS, NO_SHORTS, resized } from "./column.ts";
import { SlotHeap } from "./slot-heap.ts";
import { SlotIndex } from "./slot-index.ts";

/** Records of one lease: a bit each. */
export const LEASE_RECORDS_MAX = 32;
/** Leases of one table: what the low part of a counter can say. */
export const LEASES_MAX = 1_048_576;

/**
 * The leases of one shard: up to 32 consecutive records given to one consumer under one token. A lease is
 * named by its `slot` while it is handled and by its `counter` outside: the counter of a lease that ended is
 * never found again. Times are monotonic milliseconds of the caller. 55 bytes a lease, 62 where it has just grown.
 * Shard thread only.
 */
export class LeaseTable {
  readonly #capacityMax: number;
  #capacity = 0;
  #count = 0;
  /** Slots below it were in use before. */
  #used = 0;
  /** First of the free slots below #used, linked by #next; -1: none. */
  #free = -1;
  /** Raised when the slot is given: the high part of the counter. */
  #generations: Uint32Array = new Uint32Array(0);
  #owners: Uint32Array = new Uint32Array(0);
  /** 0: the slot is free. */
  #open: Uint32Array = new Uint32Array(0);
  #offsets: Float64Array = NO_NUMBERS;
  #deadlines: Float64Array = NO_NUMBERS;
  #consumers: Float64Array = NO_NUMBERS;
  #deliveries: Uint16Array = NO_SHORTS;
  #counts: Uint8Array = new Uint8Array(0);
  /** The leases of one consumer, as a ring; the one in `#heads` is where it begins. */
  #next: Int32Array = NO_INTEGERS;
  #previous: Int32Array = NO_INTEGERS;
  readonly #heads: SlotIndex = new SlotIndex();
  /** Leases of each owner. */
  readonly #ofOwner: number[] = [];
  readonly #byDeadline: SlotHeap = new SlotHeap();

  /**
   * `capacityMax`: leases at a time.
   * @throws RangeError when it is above LEASES_MAX.
   */
  constructor(capacityMax: number) {
    if (!(capacityMax >= 1 && capacityMax <= LEASES_MAX)) {
      throw new RangeError(`leases must be 1 to ${LEASES_MAX}: capacityMax=${capacityMax}`);
    }
    this.#capacityMax = capacityMax;
  }

  /** Leases that are out. */
  get count(): number {
    return this.#count;
  }

  get byteSize(): number {
    return this.#capacity * COLUMN_BYTES + this.#byDeadline.byteSize + this.#heads.byteSize;
  }

  /**
   * Gives `count` records (1 to 32) from `offset` on to a consumer; `owner` is the caller's number of the queue
   * they belong to. Returns the lease's counter, or -1 when the table is full: ask again when a lease ended.
   */
  grant(
    owner: number,
    consumer: number,
    offset: number,
    count: number,
    deliveries: number,
    deadlineMs: number,
  ): number {
    if (!(count >= 1 && count <= LEASE_RECORDS_MAX)) throw new RangeError(`a lease of count=${count}`);
    const slot = this.#claim();
    if (slot < 0) return -1;
    const generation = ((this.#generations[slot] as number) + 1) >>> 0;
    this.#generations[slot] = generation;
    this.#owners[slot] = owner;
    this.#ofOwner[owner] = (this.#ofOwner[owner] ?? 0) + 1;
    this.#open[slot] = bits(0, count);
    this.#offsets[slot] = offset;
    this.#deadlines[slot] = deadlineMs;
    this.#consumers[slot] = consumer;
    this.#deliveries[slot] = Math.min(deliveries, DELIVERIES_MAX);
    this.#counts[slot] = count;
    this.#link(slot, consumer);
    this.#byDeadline.add(slot);
    this.#count += 1;
    return generation * LEASES_MAX + slot;
  }

  /** Slot of the lease with that counter, or -1: it ended, or never was. */
  find(counter: number): number {
    const generation = Math.floor(counter / LEASES_MAX);
    const slot = counter - generation * LEASES_MAX;
    if (slot >= this.#used || this.#open[slot] === 0 || this.#generations[slot] !== generation) return -1;
    return slot;
  }

  /** The counter that grant() gave. */
  counterAt(slot: number): number {
    return (this.#generations[slot] as number) * LEASES_MAX + slot;
  }
  ownerAt(slot: number): number {
    return this.#owners[slot] as number;
  }
  consumerAt(slot: number): number {
    return this.#consumers[slot] as number;
  }
  /** Offset of its first record. */
  offsetAt(slot: number): number {
    return this.#offsets[slot] as number;
  }
  countAt(slot: number): number {
    return this.#counts[slot] as number;
  }
  /** This delivery included; 65,535 stands for more. */
  deliveriesAt(slot: number): number {
    return this.#deliveries[slot] as number;
  }
  /** Bit i, of 32 unsigned: record `offsetAt + i` is not settled. */
  openAt(slot: number): number {
    return this.#open[slot] as number;
  }

  /**
   * The open bits (as openAt) of the records from `first` on, `count` of them; what is outside the lease is
   * left out. What settle() will clear.
   */
  openIn(slot: number, first: number, count: number): number {
    const offset = this.#offsets[slot] as number;
    const from = Math.max(0, first - offset);
    const to = Math.min(this.#counts[slot] as number, first + count - offset);
    return to > from ? ((this.#open[slot] as number) & bits(from, to)) >>> 0 : 0;
  }

  /** Settles records; how many were open. The slot is free, and must not be used again, once none is. */
  settle(slot: number, first: number, count: number): number {
    const cleared = this.openIn(slot, first, count);
    if (cleared === 0) return 0;
    const open = ((this.#open[slot] as number) & ~cleared) >>> 0;
    if (open === 0) this.release(slot);
    else this.#open[slot] = open;
    return bitCount(cleared);
  }

  deadlineAt(slot: number): number {
    return this.#deadlines[slot] as number;
  }

  extend(slot: number, deadlineMs: number): void {
    this.#deadlines[slot] = deadlineMs;
    this.#byDeadline.moved(slot);
  }

  /** Slot of a lease whose deadline is at or before `nowMs`, the earliest first, or -1. It stays: release() it. */
  expired(nowMs: number): number {
    return this.#byDeadline.firstTime() <= nowMs ? this.#byDeadline.first() : -1;
  }

  /** Infinity when no lease is out. */
  nextDeadlineMs(): number {
    return this.#byDeadline.firstTime();
  }

  /** Ends a lease whatever is open in it. */
  release(slot: number): void {
    if ((this.#open[slot] ?? 0) === 0) throw new RangeError(`no lease: slot=${slot}`);
    this.#open[slot] = 0;
    this.#ofOwner[this.#owners[slot] as number] = (this.#ofOwner[this.#owners[slot] as number] as number) - 1;
    this.#byDeadline.remove(slot);
    this.#unlink(slot);
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#count -= 1;
  }

  /** Slot of a lease of that consumer, or -1. */
  firstOf(consumer: number): number {
    return this.#heads.find(this.#consumers, consumer);
  }

  /** Ends all leases of one queue (it was moved by seek, or deleted); how many. Looks at every lease, unless there are none. */
  releaseOwner(owner: number): number {
    const count = this.#ofOwner[owner] ?? 0;
    for (let slot = 0, left = count; left > 0; slot += 1) {
      if (this.#open[slot] === 0 || this.#owners[slot] !== owner) continue;
      this.release(slot);
      left -= 1;
    }
    return count;
  }

  #claim(): number {
    if (this.#free >= 0) {
      const slot = this.#free;
      this.#free = this.#next[slot] as number;
      return slot;
    }
    if (this.#used === this.#capacity) {
      if (this.#capacity === this.#capacityMax) return -1;
      this.#grow(Math.min(this.#capacityMax, grown(this.#capacity)));
    }
    this.#used += 1;
    return this.#used - 1;
  }

  #link(slot: number, consumer: number): void {
    const head = this.#heads.find(this.#consumers, consumer);
    if (head < 0) {
      this.#next[slot] = slot;
      this.#previous[slot] = slot;
      this.#heads.add(this.#consumers, slot);
      return;
    }
    const last = this.#previous[head] as number;
    this.#next[last] = slot;
    this.#previous[slot] = last;
    this.#next[slot] = head;
    this.#previous[head] = slot;
  }

  #unlink(slot: number): void {
    const next = this.#next[slot] as number;
    if (next === slot) {
      this.#heads.remove(this.#consumers, slot);
      return;
    }
    if (this.#heads.find(this.#consumers, this.#consumers[slot] as number) === slot) {
      this.#heads.move(this.#consumers, slot, next);
    }
    const previous = this.#previous[slot] as number;
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  #grow(capacity: number): void {
    this.#generations = resized(this.#generations, capacity);
    this.#owners = resized(this.#owners, capacity);
    this.#open = resized(this.#open, capacity);
    this.#offsets = resized(this.#offsets, capacity);
    this.#deadlines = resized(this.#deadlines, capacity);
    this.#consumers = resized(this.#consumers, capacity);
    this.#deliveries = resized(this.#deliveries, capacity);
    this.#counts = resized(this.#counts, capacity);
    this.#next = resized(this.#next, capacity);
    this.#previous = resized(this.#previous, capacity);
    // Leases of one deadline may expire in any order: many are equal, and a tie ends the search for a place at once.
    this.#byDeadline.resize(this.#deadlines, this.#deadlines);
    this.#capacity = capacity;
  }
}

/** Doubles while it is small, then by an eighth: what is spare is to stay small beside what is in use. */
function grown(capacity: number): number {
  return capacity < 4096 ? Math.max(256, capacity * 2) : capacity + (capacity >>> 3);
}

const DELIVERIES_MAX = 65_535;
/** Bytes of a row of the columns above. */
const COLUMN_BYTES = 3 * 4 + 3 * 8 + 2 + 1 + 2 * 4;

/** Bits `from` to `to - 1` of 32. */
function bits(from: number, to: number): number {
  return ((0xffff_ffff >>> (32 - (to - from))) << from) >>> 0;
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
