import type { FetchedMemory } from "./fetched-memory.ts";
import type { Stretch } from "./stretch.ts";

/** A fetch that the reader thread has not answered. */
export interface FetchUnderWay {
  readonly id: number;
  readonly offset: number;
  readonly logEpoch: number;
  readonly sinceMs: number;
}

/** An offset that could not be read. */
export interface FailedFetch {
  readonly offset: number;
  readonly delayMs: number;
  /** It is not tried again before; 0: whoever wants it may ask. */
  untilMs: number;
}

/** What was fetched of one partition's log, and what is to be. Shard thread only. */
export class FetchedLog {
  readonly #memory: FetchedMemory;
  /** Ascending, and apart from each other. */
  readonly #stretches: Stretch[] = [];
  #found: Stretch | undefined;
  #logEpoch: number;

  // The fetcher's.
  underWay: FetchUnderWay | undefined = undefined;
  /** Offsets asked for, oldest first. */
  readonly wants: number[] = [];
  /** Bytes that the next fetch must allow because the last one had to allow more; 0: as usual. */
  neededBytes = 0;
  readonly failed: FailedFetch[] = [];
  isQueued = false;
  hasArrived = false;

  constructor(memory: FetchedMemory, logEpoch: number) {
    this.#memory = memory;
    this.#logEpoch = logEpoch;
  }

  get stretchCount(): number {
    return this.#stretches.length;
  }

  /** The stretch that holds `offset` in the log of this epoch. What is known of another is forgotten. */
  find(offset: number, logEpoch: number): Stretch | undefined {
    if (logEpoch !== this.#logEpoch) {
      this.clear();
      this.#logEpoch = logEpoch;
      return undefined;
    }
    let found = this.#found;
    if (found === undefined || offset < found.firstOffset || offset >= found.endOffset) {
      found = this.#stretches[this.#firstEndingBehind(offset)];
      if (found === undefined || offset < found.firstOffset) return undefined;
      this.#found = found;
    }
    this.#memory.touch(found);
    return found;
  }

  /** Where the next stretch behind `offset` begins; Infinity: there is none. `offset` is in no stretch. */
  nextStart(offset: number): number {
    return this.#stretches[this.#firstEndingBehind(offset)]?.firstOffset ?? Number.POSITIVE_INFINITY;
  }

  /** Adds a stretch; it takes the place of what it overlaps. */
  add(stretch: Stretch): void {
    const at = this.#firstEndingBehind(stretch.firstOffset);
    for (;;) {
      const overlapped = this.#stretches[at];
      if (overlapped === undefined || overlapped.firstOffset >= stretch.endOffset) break;
      this.#memory.forget(overlapped);
    }
    this.#stretches.splice(at, 0, stretch);
    this.#memory.added(stretch);
  }

  /** Only for the memory: it has let the stretch go. */
  removed(stretch: Stretch): void {
    const at = this.#firstEndingBehind(stretch.firstOffset);
    if (this.#stretches[at] !== stretch) throw new Error(`no such stretch: offset=${stretch.firstOffset}`);
    this.#stretches.splice(at, 1);
    if (this.#found === stretch) this.#found = undefined;
  }

  /** The log starts at `offset` now. */
  dropBefore(offset: number): void {
    for (;;) {
      const first = this.#stretches[0];
      if (first === undefined || first.endOffset > offset) return;
      this.#memory.forget(first);
    }
  }

  clear(): void {
    this.dropBefore(Number.POSITIVE_INFINITY);
  }

  /** Index of the first stretch that ends behind `offset`. */
  #firstEndingBehind(offset: number): number {
    const stretches = this.#stretches;
    let low = 0;
    let high = stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((stretches[middle] as Stretch).endOffset > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
