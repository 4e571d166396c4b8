import { NO_INTEGERS, NO_NUMBERS, resized } from "./column.ts";

/**
 * Rows (slots) of a table in the order of a time column, ties by a second column: a binary heap that knows where
 * each slot stands. The columns are the table's own; those of a slot must not change while it is in the heap,
 * unless moved() follows at once.
 */
export class SlotHeap {
  #times: Float64Array = NO_NUMBERS;
  #ties: Float64Array = NO_NUMBERS;
  #order: Int32Array = NO_INTEGERS;
  /** Place of a slot in `#order`, plus 1; 0: not in the heap. */
  #places: Int32Array = NO_INTEGERS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get byteSize(): number {
    return this.#order.byteLength + this.#places.byteLength;
  }

  /** The table has new columns (of the same rows). */
  resize(times: Float64Array, ties: Float64Array): void {
    this.#times = times;
    this.#ties = ties;
    this.#order = resized(this.#order, times.length);
    this.#places = resized(this.#places, times.length);
  }

  has(slot: number): boolean {
    return this.#places[slot] !== 0;
  }

  /** The slot that comes first, or -1. */
  first(): number {
    return this.#size === 0 ? -1 : (this.#order[0] as number);
  }

  /** Infinity when empty. */
  firstTime(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[this.#order[0] as number] as number);
  }

  add(slot: number): void {
    this.#size += 1;
    this.#up(this.#size - 1, slot);
  }

  remove(slot: number): void {
    const place = (this.#places[slot] as number) - 1;
    this.#places[slot] = 0;
    this.#size -= 1;
    if (place === this.#size) return;
    this.#settle(place, this.#order[this.#size] as number);
  }

  /** The slot's time changed. */
  moved(slot: number): void {
    this.#settle((this.#places[slot] as number) - 1, slot);
  }

  /** The row at `from` stands at `to` from now on, where none is in the heap; its columns are equal in both. */
  rename(from: number, to: number): void {
    const place = this.#places[from] as number;
    this.#places[to] = place;
    if (place === 0) return;
    this.#order[place - 1] = to;
    this.#places[from] = 0;
  }

  /** How many have a time at or before `time`; at least `max` if there are more. Looks at about as many. */
  countUntil(time: number, max: number): number {
    return this.#countUntil(time, max, 0);
  }

  clear(): void {
    this.#times = NO_NUMBERS;
    this.#ties = NO_NUMBERS;
    this.#order = NO_INTEGERS;
    this.#places = NO_INTEGERS;
    this.#size = 0;
  }

  #countUntil(time: number, max: number, place: number): number {
    if (place >= this.#size || (this.#times[this.#order[place] as number] as number) > time) return 0;
    const left = 1 + this.#countUntil(time, max - 1, 2 * place + 1);
    return left < max ? left + this.#countUntil(time, max - left, 2 * place + 2) : left;
  }

  #before(a: number, b: number): boolean {
    const timeA = this.#times[a] as number;
    const timeB = this.#times[b] as number;
    return timeA < timeB || (timeA === timeB && (this.#ties[a] as number) < (this.#ties[b] as number));
  }

  /** Puts a slot where `place` is free, or further up or down. */
  #settle(place: number, slot: number): void {
    if (place > 0 && this.#before(slot, this.#order[(place - 1) >> 1] as number)) this.#up(place, slot);
    else this.#down(place, slot);
  }

  #up(start: number, slot: number): void {
    const order = this.#order;
    let place = start;
    while (place > 0) {
      const parent = order[(place - 1) >> 1] as number;
      if (!this.#before(slot, parent)) break;
      order[place] = parent;
      this.#places[parent] = place + 1;
      place = (place - 1) >> 1;
    }
    order[place] = slot;
    this.#places[slot] = place + 1;
  }

  #down(start: number, slot: number): void {
    const order = this.#order;
    const size = this.#size;
    let place = start;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= size) break;
      if (below + 1 < size && this.#before(order[below + 1] as number, order[below] as number)) below += 1;
      const child = order[below] as number;
      if (!this.#before(child, slot)) break;
      order[place] = child;
      this.#places[child] = place + 1;
      place = below;
    }
    order[place] = slot;
    this.#places[slot] = place + 1;
  }
}
