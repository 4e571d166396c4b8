import { NO_INTEGERS } from "./column.ts";

/**
 * Finds the row (slot) of a table by a key: open addressing with linear probing. The keys stay in the table's
 * own column, which every call is given; a row's key must not change while it is in the index.
 */
export class SlotIndex {
  /** Slot + 1, or 0: free. A power of two of them, at most 3/4 in use. */
  #cells: Int32Array = NO_INTEGERS;
  #size = 0;

  get byteSize(): number {
    return this.#cells.byteLength;
  }

  /** The slot with that key, or -1. */
  find(keys: Float64Array, key: number): number {
    if (this.#size === 0) return -1;
    const cells = this.#cells;
    const mask = cells.length - 1;
    for (let at = hash(key) & mask; ; at = (at + 1) & mask) {
      const slot = (cells[at] as number) - 1;
      if (slot < 0 || keys[slot] === key) return slot;
    }
  }

  /** Adds a slot whose key is not in the index. */
  add(keys: Float64Array, slot: number): void {
    if ((this.#size + 1) * 4 > this.#cells.length * 3) {
      this.#rehash(keys, Math.max(CELLS_MIN, this.#cells.length * 2));
    }
    this.#place(keys, slot);
    this.#size += 1;
  }

  /** Takes a slot out that is in the index. */
  remove(keys: Float64Array, slot: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let hole = this.#cellOf(keys, slot);
    // What was pushed beyond the hole by it moves up, so that no search ends early.
    for (let at = (hole + 1) & mask; cells[at] !== 0; at = (at + 1) & mask) {
      const home = hash(keys[(cells[at] as number) - 1] as number) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      cells[hole] = cells[at] as number;
      hole = at;
    }
    cells[hole] = 0;
    this.#size -= 1;
    if (cells.length > CELLS_KEPT && this.#size * 8 < cells.length) this.#rehash(keys, cells.length / 2);
  }

  /** The row at `from`, which is in the index, stands at `to` from now on, with the same key. */
  move(keys: Float64Array, from: number, to: number): void {
    this.#cells[this.#cellOf(keys, from)] = to + 1;
  }

  clear(): void {
    this.#cells = NO_INTEGERS;
    this.#size = 0;
  }

  #cellOf(keys: Float64Array, slot: number): number {
    const mask = this.#cells.length - 1;
    let at = hash(keys[slot] as number) & mask;
    while (this.#cells[at] !== slot + 1) {
      if (this.#cells[at] === 0) throw new RangeError(`not in the index: slot=${slot} key=${keys[slot]}`);
      at = (at + 1) & mask;
    }
    return at;
  }

  #place(keys: Float64Array, slot: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let at = hash(keys[slot] as number) & mask;
    while (cells[at] !== 0) at = (at + 1) & mask;
    cells[at] = slot + 1;
  }

  #rehash(keys: Float64Array, length: number): void {
    const old = this.#cells;
    this.#cells = new Int32Array(length);
    for (let at = 0; at < old.length; at += 1) {
      if (old[at] !== 0) this.#place(keys, (old[at] as number) - 1);
    }
  }
}

const CELLS_MIN = 16;
/** Cells that are kept when nothing is in them. */
const CELLS_KEPT = 512;

/** Spreads both halves of an integer below 2^53 over the low bits. */
function hash(key: number): number {
  const mixed = Math.imul((key | 0) ^ Math.imul((key / 4_294_967_296) | 0, 0x85ebca6b), 0x9e3779b1);
  return mixed ^ (mixed >>> 16);
}
