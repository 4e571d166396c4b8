import { copyBytes } from "@millrace/core";
import { payloadChecksum } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_BATCH_CRC_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_TYPE_WORD,
  type EntryFields,
  writeEntryFields,
} from "../entry/entry-layout.ts";
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

  /** Copies an entry in, with everything that its author decides. @returns its index in `memory` */
  place(type: number, fields: EntryFields, payload: Uint8Array): number {
    const length = ENTRY_HEADER_BYTES + payload.length;
    const index = this.claim(alignEntry(length));
    const { words, bytes } = this.memory;
    const word = index >> 2;
    const start = index + ENTRY_HEADER_BYTES;
    words[word + ENTRY_LENGTH_WORD] = length;
    words[word + ENTRY_TYPE_WORD] = type;
    writeEntryFields(words, word, fields);
    copyBytes(bytes, start, payload, 0, payload.length);
    words[word + ENTRY_BATCH_CRC_WORD] = payloadChecksum(bytes, type, start, index + length) | 0;
    return index;
  }

  /** @returns the index in `memory` of `size` bytes (a multiple of 8), zeroed where the last claim left something. */
  private claim(size: number): number {
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
