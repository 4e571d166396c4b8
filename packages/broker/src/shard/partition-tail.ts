/** 64 bytes: V8 keeps an array of so many inside its heap. */
const INITIAL_ENTRIES = 4;
const NO_PAIRS = new Float64Array(0);

/** Position of entries that are not in the ring: below all others, so that they go with those before them. */
const ELSEWHERE = -1;

/**
 * Where the newest batches of one partition stand in the inbound ring: a growable circular list of
 * (base offset, ring position), oldest first. The ring memory behind the shard's read position is the tail
 * cache; `evictBefore` forgets what the ring has given back. Batches that the shard appends from private memory are not in
 * the ring: one entry stands for as many of them as follow each other. Shard thread only; 16 bytes an entry.
 */
export class PartitionTail {
  /** Offset and position of each entry in turn. */
  #pairs: Float64Array = NO_PAIRS;
  #mask = -1;
  /** Running numbers of the oldest entry and of the one past the newest; `& #mask` gives the index. */
  #first = 0;
  #end = 0;

  get first(): number {
    return this.#first;
  }

  get end(): number {
    return this.#end;
  }

  push(baseOffset: number, ringPosition: number): void {
    if (this.#end - this.#first > this.#mask) this.#grow();
    const index = (this.#end & this.#mask) * 2;
    this.#pairs[index] = baseOffset;
    this.#pairs[index + 1] = ringPosition;
    this.#end += 1;
  }

  /** From `baseOffset` on, up to the next entry, batches were appended that are not in the ring. */
  pushElsewhere(baseOffset: number): void {
    // What is older than the first entry is not in the ring anyway.
    if (this.#first === this.#end || !this.isInRing(this.#end - 1)) return;
    this.push(baseOffset, ELSEWHERE);
  }

  /** False: the batches from this entry's offset up to the next entry's have to be read from the journal. */
  isInRing(entry: number): boolean {
    return this.ringPositionAt(entry) !== ELSEWHERE;
  }

  baseOffsetAt(entry: number): number {
    return this.#pairs[(entry & this.#mask) * 2] as number;
  }

  ringPositionAt(entry: number): number {
    return this.#pairs[(entry & this.#mask) * 2 + 1] as number;
  }

  /** Forgets the entries whose ring memory is about to be reused. */
  evictBefore(ringPosition: number): void {
    let first = this.#first;
    const end = this.#end;
    while (first < end && this.ringPositionAt(first) < ringPosition) first += 1;
    this.#first = first;
    if (first === end) this.#reset();
  }

  clear(): void {
    this.#first = this.#end;
    this.#reset();
  }

  /** The last entry that begins at or below `offset`; -1 when offset is older than the cache. */
  find(offset: number): number {
    let low = this.#first;
    let high = this.#end;
    if (low === high || offset < this.baseOffsetAt(low)) return -1;
    // Invariant: baseOffset(low) <= offset, baseOffset(high) > offset.
    while (high - low > 1) {
      const middle = low + Math.floor((high - low) / 2);
      if (this.baseOffsetAt(middle) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const capacity = Math.max(INITIAL_ENTRIES, (this.#mask + 1) * 2);
    const pairs = new Float64Array(capacity * 2);
    const mask = capacity - 1;
    for (let entry = this.#first; entry < this.#end; entry += 1) {
      const index = (entry & mask) * 2;
      pairs[index] = this.baseOffsetAt(entry);
      pairs[index + 1] = this.ringPositionAt(entry);
    }
    this.#pairs = pairs;
    this.#mask = mask;
  }

  /** What is empty keeps no memory: most partitions of many are idle. */
  #reset(): void {
    this.#pairs = NO_PAIRS;
    this.#mask = -1;
  }
}
