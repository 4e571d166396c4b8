/** Position of entries that are not in the ring: below all others, so that they go with those before them. */
const ELSEWHERE = -1;

/**
 * Where the newest batches of one partition stand in the inbound ring: a growable circular list of
 * (base offset, ring position), oldest first. The ring memory behind the shard's read position is the tail
 * cache; `evictBefore` forgets what the ring has given back. Batches that the shard appends from private memory are not in
 * the ring: one entry stands for as many of them as follow each other. Shard thread only; 16 bytes an entry.
 */
export class PartitionTail {
  #offsets: Float64Array = new Float64Array(INITIAL_ENTRIES);
  #positions: Float64Array = new Float64Array(INITIAL_ENTRIES);
  #mask: number = INITIAL_ENTRIES - 1;
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
    const index = this.#end & this.#mask;
    this.#offsets[index] = baseOffset;
    this.#positions[index] = ringPosition;
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
    return (this.#positions[entry & this.#mask] as number) !== ELSEWHERE;
  }

  baseOffsetAt(entry: number): number {
    return this.#offsets[entry & this.#mask] as number;
  }

  ringPositionAt(entry: number): number {
    return this.#positions[entry & this.#mask] as number;
  }

  /** Forgets the entries whose ring memory is about to be reused. */
  evictBefore(ringPosition: number): void {
    let first = this.#first;
    const end = this.#end;
    while (first < end && (this.#positions[first & this.#mask] as number) < ringPosition) first += 1;
    this.#first = first;
    if (first === end && this.#mask >= SHRINK_ENTRIES) this.#reset();
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
    const capacity = this.#mask + 1;
    const offsets = new Float64Array(capacity * 2);
    const positions = new Float64Array(capacity * 2);
    const mask = capacity * 2 - 1;
    for (let entry = this.#first; entry < this.#end; entry += 1) {
      offsets[entry & mask] = this.#offsets[entry & this.#mask] as number;
      positions[entry & mask] = this.#positions[entry & this.#mask] as number;
    }
    this.#offsets = offsets;
    this.#positions = positions;
    this.#mask = mask;
  }

  #reset(): void {
    this.#offsets = new Float64Array(INITIAL_ENTRIES);
    this.#positions = new Float64Array(INITIAL_ENTRIES);
    this.#mask = INITIAL_ENTRIES - 1;
  }
}

const INITIAL_ENTRIES = 8;
/** An emptied list gives its memory back when it is at least this large. */
const SHRINK_ENTRIES = 256;
