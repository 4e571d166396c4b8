import { copyBytes } from "@millrace/core";
import { DELIVER_ENTRY_HEAD_BYTES, writeDeliverEntryHead } from "@millrace/protocol/internal";
import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  isErased,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { type EntryVisitor, GO_ON, STOP } from "./entry-walk.ts";

/** Puts consecutive entries into memory as those of a DELIVER frame: head, then stored payload. */
export class EntryDelivery implements EntryVisitor {
  entryCount = 0;
  /** Base offset of the first entry met, also if it did not fit; -1: none. */
  firstOffset = -1;
  /** One past the last record delivered. */
  nextOffset = 0;
  /** Of the first entry that did not fit, else 0. */
  neededBytes = 0;
  /** One past the last record of the first entry met, when it is one that a repair has erased; else -1. */
  erasedEnd = -1;
  /** Where the next entry goes. */
  targetAt = 0;
  private target: Buffer = Buffer.alloc(0);
  private targetEnd = 0;

  begin(target: Buffer, targetStart: number, maxBytes: number, offset: number): void {
    this.entryCount = 0;
    this.firstOffset = -1;
    this.nextOffset = offset;
    this.neededBytes = 0;
    this.erasedEnd = -1;
    this.target = target;
    this.targetAt = targetStart;
    this.targetEnd = Math.min(target.length, targetStart + maxBytes);
  }

  get roomBytes(): number {
    return this.targetEnd - this.targetAt;
  }

  wantedBytes(): number {
    return this.targetEnd - this.targetAt;
  }

  inspect(words: Int32Array, wordIndex: number): number {
    const baseOffset = readU64(words, wordIndex + ENTRY_BASE_OFFSET_WORD);
    if (this.firstOffset < 0) this.firstOffset = baseOffset;
    // A gap is reported between frames, never hidden inside one.
    if (this.entryCount > 0 && baseOffset !== this.nextOffset) return STOP;
    // So is what was lost to damage: the frame ends in front of it, and the next read begins at it.
    if (isErased(words, wordIndex)) {
      if (this.entryCount === 0) this.erasedEnd = baseOffset + readU32(words, wordIndex + ENTRY_COUNT_WORD);
      return STOP;
    }
    const length = words[wordIndex + ENTRY_LENGTH_WORD] as number;
    const needed = DELIVER_ENTRY_HEAD_BYTES + length - ENTRY_HEADER_BYTES;
    if (needed <= this.targetEnd - this.targetAt) return GO_ON;
    this.neededBytes = needed;
    return STOP;
  }

  visit(words: Int32Array, bytes: Buffer, index: number): void {
    const word = index >> 2;
    const at = this.targetAt;
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    const count = readU32(words, word + ENTRY_COUNT_WORD);
    const payloadBytes = (words[word + ENTRY_LENGTH_WORD] as number) - ENTRY_HEADER_BYTES;
    writeDeliverEntryHead(this.target, at, baseOffset, count, readU64(words, word + ENTRY_APPEND_TIME_WORD));
    copyBytes(this.target, at + DELIVER_ENTRY_HEAD_BYTES, bytes, index + ENTRY_HEADER_BYTES, payloadBytes);
    this.targetAt = at + DELIVER_ENTRY_HEAD_BYTES + payloadBytes;
    this.entryCount++;
    this.nextOffset = baseOffset + count;
  }

  /** Lets go of the target. */
  end(): void {
    this.target = EMPTY;
  }
}

const EMPTY = Buffer.alloc(0);
/** A search looks at headers, most of which belong to entries that it passes by. */
const TIME_SEARCH_BYTES = 65_536;

/** Looks for the first entry that was appended at some time or later. */
export class TimeSearch implements EntryVisitor {
  /** Base offset of the entry found; -1: none so far. */
  foundOffset = -1;
  /** One past the last entry that was too early. */
  nextOffset = 0;
  private timeMs = 0;

  begin(timeMs: number, offset: number): void {
    this.foundOffset = -1;
    this.nextOffset = offset;
    this.timeMs = timeMs;
  }

  wantedBytes(): number {
    return TIME_SEARCH_BYTES;
  }

  inspect(words: Int32Array, wordIndex: number): number {
    const baseOffset = readU64(words, wordIndex + ENTRY_BASE_OFFSET_WORD);
    if (readU64(words, wordIndex + ENTRY_APPEND_TIME_WORD) < this.timeMs) {
      this.nextOffset = baseOffset + readU32(words, wordIndex + ENTRY_COUNT_WORD);
      return GO_ON;
    }
    this.foundOffset = baseOffset;
    this.nextOffset = baseOffset;
    return STOP;
  }

  visit(): void {}
}
