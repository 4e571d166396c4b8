import { NO_NUMBERS, NO_SHORTS, resized } from "./column.ts";
import { SlotHeap } from "./slot-heap.ts";
import { SlotIndex } from "./slot-index.ts";

/**
 * Unfinished records of one queue of which more is known than that they are unfinished: how often they were
 * delivered and when they may be given again. A record is `scheduled` (it comes at its time, the oldest first
 * among equals) or parked: leased, behind its key, or not reached yet after a restart. About 35 bytes each. A slot
 * is good until the next remove(). Times are monotonic milliseconds of the caller. Shard thread only.
 */
export class RetryQueue {
  #size = 0;
  #capacity = 0;
  #offsets: Float64Array = NO_NUMBERS;
  #times: Float64Array = NO_NUMBERS;
  #deliveries: Uint16Array = NO_SHORTS;
  readonly #byOffset: SlotIndex = new SlotIndex();
  readonly #schedule: SlotHeap = new SlotHeap();

  get size(): number {
    return this.#size;
  }

  get scheduled(): number {
    return this.#schedule.size;
  }

  get byteSize(): number {
    return this.#capacity * ROW_BYTES + this.#byOffset.byteSize + this.#schedule.byteSize;
  }

  /** Slot of the record, or -1. */
  find(offset: number): number {
    return this.#byOffset.find(this.#offsets, offset);
  }

  offsetAt(slot: number): number {
    return this.#offsets[slot] as number;
  }
  /** So far; 65,535 stands for more. */
  deliveriesAt(slot: number): number {
    return this.#deliveries[slot] as number;
  }
  notBeforeAt(slot: number): number {
    return this.#times[slot] as number;
  }
  isScheduled(slot: number): boolean {
    return this.#schedule.has(slot);
  }

  /** Sets what is known of a record, which is parked then; its slot. */
  set(offset: number, deliveries: number, notBeforeMs: number): number {
    let slot = this.find(offset);
    if (slot >= 0) this.park(slot);
    else {
      if (this.#size === this.#capacity) this.#resize(Math.max(CAPACITY_MIN, this.#capacity * 2));
      slot = this.#size;
      this.#size += 1;
      this.#offsets[slot] = offset;
      this.#byOffset.add(this.#offsets, slot);
    }
    this.#deliveries[slot] = Math.min(deliveries, DELIVERIES_MAX);
    this.#times[slot] = notBeforeMs;
    return slot;
  }

  /** Has a record come at its time. */
  schedule(slot: number): void {
    if (!this.#schedule.has(slot)) this.#schedule.add(slot);
  }

  park(slot: number): void {
    if (this.#schedule.has(slot)) this.#schedule.remove(slot);
  }

  remove(slot: number): void {
    this.park(slot);
    this.#byOffset.remove(this.#offsets, slot);
    this.#size -= 1;
    // Rows stay together, so that a checkpoint copies them as they are.
    if (slot !== this.#size) this.#move(this.#size, slot);
    if (this.#capacity > CAPACITY_KEPT && this.#size * 8 < this.#capacity) this.#resize(this.#capacity / 2);
  }

  /** Removes every record from `from` to `to - 1`; how many. */
  removeBetween(from: number, to: number): number {
    const size = this.#size;
    if (to - from < size) {
      for (let offset = from; offset < to; offset += 1) {
        const slot = this.find(offset);
        if (slot >= 0) this.remove(slot);
      }
    } else {
      // From the end: what remove() moves was looked at already.
      for (let slot = size - 1; slot >= 0; slot -= 1) {
        const offset = this.#offsets[slot] as number;
        if (offset >= from && offset < to) this.remove(slot);
      }
    }
    return size - this.#size;
  }

  /** Slot of the scheduled record that is due and comes first, or -1. */
  due(nowMs: number): number {
    return this.#schedule.firstTime() <= nowMs ? this.#schedule.first() : -1;
  }

  /** Scheduled records that are due, or at least `max` if there are more; looks at about as many. */
  dueCount(nowMs: number, max: number): number {
    return this.#schedule.countUntil(nowMs, max);
  }

  /** Infinity when nothing is scheduled. */
  nextMs(): number {
    return this.#schedule.firstTime();
  }

  clear(): void {
    this.#size = 0;
    this.#byOffset.clear();
    this.#schedule.clear();
    this.#resize(0);
  }

  get encodedLength(): number {
    return this.#size * ROW_BYTES;
  }

  /** Little-endian columns: offsets f64, times f64 (of the clock at this moment), deliveries u16. */
  encodeInto(target: Uint8Array, at: number): void {
    const size = this.#size;
    if (size === 0) return;
    target.set(new Uint8Array(this.#offsets.buffer, 0, size * 8), at);
    target.set(new Uint8Array(this.#times.buffer, 0, size * 8), at + size * 8);
    target.set(new Uint8Array(this.#deliveries.buffer, 0, size * 2), at + size * 16);
  }

  /** All are parked; `shiftMs` is added to their times. */
  static decode(bytes: Uint8Array, shiftMs: number): RetryQueue {
    const size = bytes.length / ROW_BYTES;
    if (!Number.isInteger(size)) throw new RangeError(`retries in ${bytes.length} bytes`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const queue = new RetryQueue();
    if (size > 0) queue.#resize(Math.max(CAPACITY_MIN, 2 ** Math.ceil(Math.log2(size))));
    for (let row = 0; row < size; row += 1) {
      const notBeforeMs = view.getFloat64((size + row) * 8, true) + shiftMs;
      queue.set(view.getFloat64(row * 8, true), view.getUint16(size * 16 + row * 2, true), notBeforeMs);
    }
    return queue;
  }

  #move(from: number, to: number): void {
    this.#byOffset.move(this.#offsets, from, to);
    this.#offsets[to] = this.#offsets[from] as number;
    this.#times[to] = this.#times[from] as number;
    this.#deliveries[to] = this.#deliveries[from] as number;
    this.#schedule.rename(from, to);
  }

  #resize(capacity: number): void {
    if (capacity === this.#capacity) return;
    this.#offsets = resized(this.#offsets, capacity);
    this.#times = resized(this.#times, capacity);
    this.#deliveries = resized(this.#deliveries, capacity);
    this.#schedule.resize(this.#times, this.#offsets);
    this.#capacity = capacity;
  }
}

const CAPACITY_MIN = 16;
/** Rows for which memory is kept when they are gone. */
const CAPACITY_KEPT = 256;
const DELIVERIES_MAX = 65_535;
const ROW_BYTES = 8 + 8 + 2;
