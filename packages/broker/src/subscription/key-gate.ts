import { NO_INTEGERS, NO_NUMBERS, resized } from "./column.ts";
import { SlotIndex } from "./slot-index.ts";

/**
 * Lets one record of a key through at a time: the one that holds the key. The others stand in line behind it
 * in the order in which they came. Keys are hashes of up to 53 bits; keys with equal hashes wait for each other.
 * About 40 bytes a record, held or waiting; the caller bounds their number. Shard thread only.
 */
export class KeyGate {
  #size = 0;
  #capacity = 0;
  #held = 0;
  #offsets: Float64Array = NO_NUMBERS;
  #hashes: Float64Array = NO_NUMBERS;
  /** The line of one key, as a ring that begins at its holder. */
  #next: Int32Array = NO_INTEGERS;
  #previous: Int32Array = NO_INTEGERS;
  readonly #byOffset: SlotIndex = new SlotIndex();
  /** Holders alone. */
  readonly #byHash: SlotIndex = new SlotIndex();
  readonly #onHolder: (offset: number) => void;

  /** `onHolder` is told of a record that holds its key from now on, because the one before it left. */
  constructor(onHolder: (offset: number) => void) {
    this.#onHolder = onHolder;
  }

  /** Keys that are held. */
  get heldCount(): number {
    return this.#held;
  }

  /** Records behind a holder. */
  get waiting(): number {
    return this.#size - this.#held;
  }

  get byteSize(): number {
    return this.#capacity * ROW_BYTES + this.#byOffset.byteSize + this.#byHash.byteSize;
  }

  /** True: the record holds its key. False: it stands in line. One that came before stays what it is. */
  enter(hash: number, offset: number): boolean {
    const known = this.#byOffset.find(this.#offsets, offset);
    if (known >= 0) return this.#isHolder(known);
    if (this.#size === this.#capacity) this.#resize(Math.max(CAPACITY_MIN, this.#capacity * 2));
    const slot = this.#size;
    this.#size += 1;
    this.#offsets[slot] = offset;
    this.#hashes[slot] = hash;
    this.#byOffset.add(this.#offsets, slot);
    const holder = this.#byHash.find(this.#hashes, hash);
    if (holder < 0) {
      this.#next[slot] = slot;
      this.#previous[slot] = slot;
      this.#byHash.add(this.#hashes, slot);
      this.#held += 1;
      return true;
    }
    const last = this.#previous[holder] as number;
    this.#next[last] = slot;
    this.#previous[slot] = last;
    this.#next[slot] = holder;
    this.#previous[holder] = slot;
    return false;
  }

  /** Takes a record out, wherever it stands. */
  leave(offset: number): void {
    const slot = this.#byOffset.find(this.#offsets, offset);
    if (slot < 0) return;
    const next = this.#next[slot] as number;
    let successor = -1;
    if (next === slot) {
      this.#byHash.remove(this.#hashes, slot);
      this.#held -= 1;
    } else {
      if (this.#isHolder(slot)) {
        this.#byHash.move(this.#hashes, slot, next);
        successor = this.#offsets[next] as number;
      }
      const previous = this.#previous[slot] as number;
      this.#next[previous] = next;
      this.#previous[next] = previous;
    }
    this.#byOffset.remove(this.#offsets, slot);
    this.#size -= 1;
    if (slot !== this.#size) this.#move(this.#size, slot);
    if (this.#capacity > CAPACITY_KEPT && this.#size * 8 < this.#capacity) this.#resize(this.#capacity / 2);
    if (successor >= 0) this.#onHolder(successor);
  }

  holds(offset: number): boolean {
    const slot = this.#byOffset.find(this.#offsets, offset);
    return slot >= 0 && this.#isHolder(slot);
  }

  /** True: it stands in line behind the holder. */
  waits(offset: number): boolean {
    const slot = this.#byOffset.find(this.#offsets, offset);
    return slot >= 0 && !this.#isHolder(slot);
  }

  /** Takes out every record from `from` to `to - 1`; one that is told to hold its key may be among them. */
  leaveBetween(from: number, to: number): void {
    if (to - from < this.#size) {
      for (let offset = from; offset < to; offset += 1) this.leave(offset);
    } else {
      // From the end: what leave() moves was looked at already.
      for (let slot = this.#size - 1; slot >= 0; slot -= 1) {
        const offset = this.#offsets[slot] as number;
        if (offset >= from && offset < to) this.leave(offset);
      }
    }
  }

  clear(): void {
    this.#size = 0;
    this.#held = 0;
    this.#byOffset.clear();
    this.#byHash.clear();
    this.#resize(0);
  }

  #isHolder(slot: number): boolean {
    return this.#byHash.find(this.#hashes, this.#hashes[slot] as number) === slot;
  }

  /** Rows stay together, so that memory is given back when few are left. */
  #move(from: number, to: number): void {
    const holder = this.#isHolder(from);
    this.#byOffset.move(this.#offsets, from, to);
    if (holder) this.#byHash.move(this.#hashes, from, to);
    this.#offsets[to] = this.#offsets[from] as number;
    this.#hashes[to] = this.#hashes[from] as number;
    const next = this.#next[from] as number;
    const previous = this.#previous[from] as number;
    this.#next[to] = next === from ? to : next;
    this.#previous[to] = next === from ? to : previous;
    this.#next[this.#previous[to] as number] = to;
    this.#previous[this.#next[to] as number] = to;
  }

  #resize(capacity: number): void {
    if (capacity === this.#capacity) return;
    this.#offsets = resized(this.#offsets, capacity);
    this.#hashes = resized(this.#hashes, capacity);
    this.#next = resized(this.#next, capacity);
    this.#previous = resized(this.#previous, capacity);
    this.#capacity = capacity;
  }
}

const CAPACITY_MIN = 16;
/** Rows for which memory is kept when they are gone. */
const CAPACITY_KEPT = 256;
const ROW_BYTES = 8 + 8 + 4 + 4;
