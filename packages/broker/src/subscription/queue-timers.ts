/** Something that wants to be looked at again at a time. */
export interface Timed {
  /** Monotonic ms; Infinity: not at any time. Set by QueueTimers. */
  dueMs: number;
  /** Its place in the heap, -1: in none. */
  heapIndex: number;
}

/** A heap of those who wait for a time: the earliest is known at once, and moving one costs the logarithm of all. */
export class QueueTimers<T extends Timed> {
  readonly #heap: T[] = [];

  /** Infinity when nobody waits. */
  nextMs(): number {
    return this.#heap[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Moves the time of `item`; Infinity: it waits no more. */
  schedule(item: T, dueMs: number): void {
    if (dueMs === Number.POSITIVE_INFINITY) {
      this.cancel(item);
      return;
    }
    const before = item.dueMs;
    if (item.heapIndex < 0) {
      item.heapIndex = this.#heap.length;
      this.#heap.push(item);
    }
    item.dueMs = dueMs;
    if (dueMs < before) this.#rise(item);
    else this.#sink(item);
  }

  cancel(item: T): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    item.dueMs = Number.POSITIVE_INFINITY;
    const last = this.#heap.pop() as T;
    if (last === item) return;
    this.#put(last, index);
    this.#rise(last);
    this.#sink(last);
  }

  /** Takes one whose time has come out, the earliest first. */
  takeDue(nowMs: number): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.cancel(first);
    return first;
  }

  #rise(item: T): void {
    let index = item.heapIndex;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex] as T;
      if (parent.dueMs <= item.dueMs) break;
      this.#put(parent, index);
      index = parentIndex;
    }
    this.#put(item, index);
  }

  #sink(item: T): void {
    const heap = this.#heap;
    let index = item.heapIndex;
    for (;;) {
      let childIndex = index * 2 + 1;
      if (childIndex >= heap.length) break;
      const right = heap[childIndex + 1];
      if (right !== undefined && right.dueMs < (heap[childIndex] as T).dueMs) childIndex += 1;
      const child = heap[childIndex] as T;
      if (child.dueMs >= item.dueMs) break;
      this.#put(child, index);
      index = childIndex;
    }
    this.#put(item, index);
  }

  #put(item: T, index: number): void {
    this.#heap[index] = item;
    item.heapIndex = index;
  }
}
