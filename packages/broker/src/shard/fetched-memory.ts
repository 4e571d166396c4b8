import type { Stretch } from "./stretch.ts";

/** The memory that the fetched stretches of all partitions of a shard share: the least recently used goes first. Shard thread only. */
export class FetchedMemory {
  readonly #bytesMax: number;
  #usedBytes = 0;
  #newest: Stretch | undefined;
  #oldest: Stretch | undefined;
  #logs = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Partitions that have a part of it. */
  get logs(): number {
    return this.#logs;
  }

  /** The stretch has just been added to its log. Lets go of others for which there is no room beside it. */
  added(stretch: Stretch): void {
    this.#usedBytes += stretch.memoryBytes;
    this.#link(stretch);
    if (stretch.log.stretchCount === 1) this.#logs += 1;
    while (this.#usedBytes > this.#bytesMax && this.#oldest !== undefined && this.#oldest !== stretch) {
      this.forget(this.#oldest);
    }
  }

  touch(stretch: Stretch): void {
    if (stretch === this.#newest) return;
    this.#unlink(stretch);
    this.#link(stretch);
  }

  forget(stretch: Stretch): void {
    this.#unlink(stretch);
    this.#usedBytes -= stretch.memoryBytes;
    stretch.log.removed(stretch);
    if (stretch.log.stretchCount === 0) this.#logs -= 1;
  }

  #link(stretch: Stretch): void {
    stretch.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = stretch;
    else this.#newest.newer = stretch;
    this.#newest = stretch;
  }

  #unlink(stretch: Stretch): void {
    const { newer, older } = stretch;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    stretch.newer = undefined;
    stretch.older = undefined;
  }
}
