import { copyBytes } from "@millrace/core";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { SegmentFile } from "./segment-file.ts";

/** Memory that holds entries, seen as bytes and as int32 words from the same start. A ring is one. */
export interface EntryMemory {
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

/**
 * Entries that are staged and not written yet, as runs: stretches of memory whose entries follow each other in the journal.
 * A run leaves in one write, straight from that memory, so the memory must keep its bytes until then.
 */
export class StagedRuns {
  private readonly memories: EntryMemory[] = [];
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private readonly segments: SegmentFile[] = [];
  /** Runs before it are written. */
  private head = 0;
  private count = 0;
  // The run that the next entry can join.
  private lastMemory: EntryMemory | undefined;
  private lastSegment: SegmentFile | undefined;
  private lastEnd = 0;
  private gathered: Buffer | undefined;

  get isEmpty(): boolean {
    return this.head === this.count;
  }

  /** Adds an entry of `size` bytes at `index`; it joins the last run when it follows on it in the same memory. */
  add(memory: EntryMemory, index: number, size: number, segment: SegmentFile): void {
    if (index === this.lastEnd && memory === this.lastMemory && segment === this.lastSegment) {
      this.lastEnd = index + size;
      return;
    }
    this.closeLast();
    const at = this.count;
    this.memories[at] = memory;
    this.starts[at] = index;
    this.segments[at] = segment;
    this.count = at + 1;
    this.lastMemory = memory;
    this.lastSegment = segment;
    this.lastEnd = index + size;
  }

  /** The segment of the first run, if there is one. */
  firstSegment(): SegmentFile | undefined {
    return this.isEmpty ? undefined : this.segments[this.head];
  }

  /** The memory, start and end of the first run, when it is alone in its segment; else undefined. */
  single(): { memory: EntryMemory; start: number; end: number } | undefined {
    this.closeLast();
    const at = this.head;
    if (this.segments[at + 1] === this.segments[at] && at + 1 < this.count) return undefined;
    return {
      memory: this.memories[at] as EntryMemory,
      start: this.starts[at] as number,
      end: this.ends[at] as number,
    };
  }

  /**
   * The first runs of one segment as pieces of one gathered write. Small neighbours are copied together, since the kernel
   * needs longer for a piece than the copy takes.
   */
  pieces(): Uint8Array[] {
    this.closeLast();
    const { gatherBytes, gatherRunBytesMax, writePiecesMax } = JOURNAL_LIMITS;
    const segment = this.segments[this.head];
    const pieces: Uint8Array[] = [];
    this.gathered ??= Buffer.from(new ArrayBuffer(gatherBytes));
    let used = 0;
    let from = 0;
    for (let at = this.head; at < this.count && this.segments[at] === segment; at++) {
      const { bytes } = this.memories[at] as EntryMemory;
      const start = this.starts[at] as number;
      const length = (this.ends[at] as number) - start;
      if (length <= gatherRunBytesMax) {
        if (used + length > gatherBytes) break;
        copyBytes(this.gathered, used, bytes, start, length);
        used += length;
        continue;
      }
      if (pieces.length + 2 >= writePiecesMax) break;
      if (used > from) pieces.push(this.gathered.subarray(from, used));
      from = used;
      pieces.push(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length));
    }
    if (used > from) pieces.push(this.gathered.subarray(from, used));
    return pieces;
  }

  /** Takes `bytes` that were written off the front; they may end inside a run. */
  consume(bytes: number): void {
    this.closeLast();
    let rest = bytes;
    while (rest > 0) {
      const at = this.head;
      const length = (this.ends[at] as number) - (this.starts[at] as number);
      if (rest < length) {
        this.starts[at] = (this.starts[at] as number) + rest;
        return;
      }
      rest -= length;
      this.head = at + 1;
    }
    if (this.isEmpty) this.clear();
  }

  /** Copies what is not in memory of the journal's own, so that its owner may reuse it. */
  copyOut(isOwn: (memory: EntryMemory) => boolean): void {
    this.closeLast();
    for (let at = this.head; at < this.count; at++) {
      const memory = this.memories[at] as EntryMemory;
      if (isOwn(memory)) continue;
      const start = this.starts[at] as number;
      const length = (this.ends[at] as number) - start;
      const bytes = Buffer.from(new ArrayBuffer(length));
      copyBytes(bytes, 0, memory.bytes, start, length);
      this.memories[at] = { bytes, words: NO_WORDS };
      this.starts[at] = 0;
      this.ends[at] = length;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.head = 0;
    this.count = 0;
    // Keeps the arrays' room, but no memory alive that an owner has let go.
    this.memories.length = 0;
    this.segments.length = 0;
    this.lastMemory = undefined;
    this.lastSegment = undefined;
  }

  private closeLast(): void {
    if (this.lastMemory === undefined) return;
    this.ends[this.count - 1] = this.lastEnd;
    this.lastMemory = undefined;
    this.lastSegment = undefined;
  }
}

const NO_WORDS = new Int32Array(0);
