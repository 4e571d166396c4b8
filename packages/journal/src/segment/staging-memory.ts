import { JOURNAL_LIMITS } from "../limits.ts";
import type { EntryMemory } from "./staged-runs.ts";

/** Memory of the journal's own for entries that do not lie in a ring; given back as a whole after each flush. */
export class StagingMemory {
  private readonly chunks: EntryMemory[] = [];
  /** The chunk that is filled. */
  private current = -1;
  private used = 0;
  private bytes = 0;

  /** The memory of the last claim. */
  memory: EntryMemory = newChunk(0);

  /** Bytes claimed since the last reset. */
  get claimedBytes(): number {
    return this.bytes;
  }

  /** @returns the index in `memory` of `size` bytes (a multiple of 8), zeroed where the last claim left something. */
  claim(size: number): number {
    while (this.current < 0 || this.used + size > this.memory.bytes.length) {
      this.current++;
      this.used = 0;
      if (this.current === this.chunks.length) {
        this.chunks.push(newChunk(Math.max(size, JOURNAL_LIMITS.stagingChunkBytes)));
      }
      this.memory = this.chunks[this.current] as EntryMemory;
    }
    const index = this.used;
    this.used += size;
    this.bytes += size;
    this.memory.words.fill(0, index >> 2, (index + size) >> 2);
    return index;
  }

  owns(memory: EntryMemory): boolean {
    return this.chunks.includes(memory);
  }

  /** Everything claimed was written. Keeps one chunk of the usual size. */
  reset(): void {
    if (this.current < 0) return;
    const first = this.chunks.find((chunk) => chunk.bytes.length === JOURNAL_LIMITS.stagingChunkBytes);
    this.chunks.length = 0;
    if (first !== undefined) this.chunks.push(first);
    this.current = -1;
    this.used = 0;
    this.bytes = 0;
  }
}

function newChunk(size: number): EntryMemory {
  const buffer = new ArrayBuffer(size);
  return { bytes: Buffer.from(buffer), words: new Int32Array(buffer) };
}
