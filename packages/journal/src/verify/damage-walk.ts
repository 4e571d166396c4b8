import { MillraceError } from "@millrace/protocol";
import { type EntryCheck, isEntryLength } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_ALIGNMENT,
  ENTRY_EPOCH_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_VERSION,
  ENTRY_VERSION_WORD,
  readU64,
} from "../entry/entry-layout.ts";
import type { BadEntry } from "../segment/segment-scan.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import { type EntryFacts, entryFacts } from "./entry-facts.ts";
import { correctHeader } from "./header-correction.ts";

/** A stretch of a file without a good entry. Offsets from the file's start. */
export interface Hole {
  readonly start: number;
  /** Where the next good entry begins, or where the file's entries end. `start` when only the sequence breaks. */
  readonly end: number;
  readonly reason: BadEntry | "bytes behind the entry";
  /** Nothing but zeros from `start` on: how a segment that is written to ends. */
  readonly isZero: boolean;
  /** No good entry follows. */
  readonly isLast: boolean;
  /** The header, when it is good and only the payload is not, or when it could be corrected. */
  readonly header: EntryFacts | undefined;
  /** Its bytes. */
  readonly headerBytes: Uint8Array | undefined;
  /** One byte of the header alone had changed and everything else is good: `headerBytes` is what it was. */
  readonly isCorrected: boolean;
}

/** How a file's entries are to be read. */
export interface WalkOptions {
  readonly path: string;
  readonly from: number;
  /** Where the entries end at most; the file may be shorter. */
  readonly limit: number;
  readonly seed: number;
  /** All entries are of this epoch, unless undefined. */
  readonly epoch: number | undefined;
  /** Of the first entry; undefined = whatever it says. */
  readonly firstSequence: number | undefined;
  /** Each entry has the sequence behind the one before. */
  readonly isConsecutive: boolean;
  readonly check: EntryCheck;
}

export interface WalkVisitor {
  /** A good entry at byte `index` of memory that lasts until the call returns, and at `at` in the file. */
  entry(words: Int32Array, bytes: Buffer, index: number, at: number): void;
  hole(hole: Hole): void;
}

export interface WalkEnd {
  /** Behind the last good entry. */
  readonly end: number;
  /** Of the entry that would follow; undefined when there was none. */
  readonly nextSequence: number | undefined;
}

/**
 * Reads all entries of a file, and goes on behind damage: at the next place where a header has the right checksum, which
 * nobody can forge who does not know the seed.
 * @throws MillraceError DATA_FORMAT_NEWER
 */
export function walkEntries(window: SegmentWindow, options: WalkOptions, visitor: WalkVisitor): WalkEnd {
  const walk = new DamageWalk(window, options, visitor);
  while (walk.step());
  return walk.end;
}

/** The same, one entry or hole at a time. */
export class DamageWalk {
  private readonly window: SegmentWindow;
  private readonly options: WalkOptions;
  private readonly visitor: WalkVisitor;
  private at: number;
  private goodEnd: number;
  private sequence: number | undefined;

  constructor(window: SegmentWindow, options: WalkOptions, visitor: WalkVisitor) {
    this.window = window;
    this.options = options;
    this.visitor = visitor;
    this.at = options.from;
    this.goodEnd = options.from;
    this.sequence = options.firstSequence;
  }

  /** As far as it has come. */
  get end(): WalkEnd {
    return { end: this.goodEnd, nextSequence: this.sequence };
  }

  /** @returns false when there is nothing more. */
  step(): boolean {
    if (this.at >= this.options.limit) return false;
    const reason = this.judge();
    if (reason !== undefined) return this.passDamage(reason);
    this.takeEntry();
    return true;
  }

  /** What is wrong with the entry at `at`; undefined when nothing is. */
  private judge(): BadEntry | undefined {
    const { window, at } = this;
    const { limit, seed, check, epoch } = this.options;
    let index = window.load(at, ENTRY_HEADER_BYTES);
    if (index < 0) return "end of file";
    const { words } = window;
    const word = index >> 2;
    const length = words[word + ENTRY_LENGTH_WORD] as number;
    if (length === 0) return "zero length";
    if (!isEntryLength(length) || at + alignEntry(length) > limit) return "length";
    if (!check.header(words, word, seed)) return "header checksum";
    if (epoch !== undefined && words[word + ENTRY_EPOCH_WORD] !== (epoch | 0)) return "epoch";
    this.requireVersion(words, word);
    index = window.load(at, length);
    if (index < 0) return "length";
    return check.payload(window.bytes, window.words, index) ? undefined : "payload checksum";
  }

  private takeEntry(): void {
    const { window, at } = this;
    let index = window.load(at, ENTRY_HEADER_BYTES);
    const length = window.words[(index >> 2) + ENTRY_LENGTH_WORD] as number;
    const size = alignEntry(length);
    index = window.load(at, length);
    const sequence = readU64(window.words, (index >> 2) + ENTRY_SEQUENCE_WORD);
    const { isConsecutive } = this.options;
    if (isConsecutive && this.sequence !== undefined && this.sequence !== sequence) {
      this.report({ start: at, end: at, reason: "sequence" });
    }
    this.sequence = sequence + 1;
    this.visitor.entry(window.words, window.bytes, index, at);
    this.checkPadding(at + length, at + size);
    this.at = at + size;
    this.goodEnd = this.at;
  }

  /** Zeros stand behind an entry; the file may end before the last of them. */
  private checkPadding(from: number, end: number): void {
    for (let at = from; at < end; at++) {
      const index = this.window.load(at, 1);
      if (index < 0) return;
      if (this.window.bytes[index] === 0) continue;
      this.report({ start: at, end, reason: "bytes behind the entry" });
      return;
    }
  }

  /** @returns false when nothing good follows. */
  private passDamage(reason: BadEntry): boolean {
    const { window, at } = this;
    const { limit, seed, check, epoch, isConsecutive } = this.options;
    if (reason === "payload checksum") {
      const index = window.load(at, ENTRY_HEADER_BYTES);
      const header = entryFacts(window.words, index >> 2);
      const headerBytes = Uint8Array.prototype.slice.call(window.bytes, index, index + ENTRY_HEADER_BYTES);
      this.report({ start: at, end: at + alignEntry(header.length), reason, header, headerBytes });
      this.at = at + alignEntry(header.length);
      this.sequence = header.sequence + 1;
      return true;
    }
    const next = this.findNext(at + ENTRY_ALIGNMENT);
    const isLast = next < 0;
    const end = isLast ? limit : next;
    const sequence = isConsecutive ? this.sequence : undefined;
    const damaged = { at, end, endIsExact: !isLast, seed, epoch, sequence };
    const isZero = isLast && this.isZeroFrom(at);
    const headerBytes = isZero ? undefined : correctHeader(window, check, damaged);
    if (headerBytes !== undefined) {
      const header = entryFacts(new Int32Array(headerBytes.buffer), 0);
      const entryEnd = at + alignEntry(header.length);
      this.report({ start: at, end: entryEnd, reason, header, headerBytes, isCorrected: true });
      this.at = entryEnd;
      this.goodEnd = entryEnd;
      this.sequence = header.sequence + 1;
      return true;
    }
    this.report({ start: at, end, reason, isZero, isLast });
    if (isLast) return false;
    // Those that are lost had sequences, too.
    this.sequence = undefined;
    this.at = next;
    return true;
  }

  /** The next place with a good header, or -1. Its bytes can be anywhere, since the bad entry's length means nothing. */
  private findNext(from: number): number {
    const { window } = this;
    const { limit, seed, check, epoch } = this.options;
    for (let offset = from; offset < limit; ) {
      const start = window.load(offset, ENTRY_HEADER_BYTES);
      if (start < 0) return -1;
      const { words } = window;
      const bytesToLook = window.available(start) - ENTRY_HEADER_BYTES;
      const last = (start + bytesToLook) >> 2;
      for (let word = start >> 2; word <= last; word += ENTRY_ALIGNMENT / 4) {
        const length = words[word] as number;
        if (length < ENTRY_HEADER_BYTES || !isEntryLength(length)) continue;
        if (epoch !== undefined && words[word + ENTRY_EPOCH_WORD] !== (epoch | 0)) continue;
        if (!check.header(words, word, seed)) continue;
        const at = offset + (word << 2) - start;
        if (at + alignEntry(length) <= limit) return at;
      }
      offset += (bytesToLook & -ENTRY_ALIGNMENT) + ENTRY_ALIGNMENT;
    }
    return -1;
  }

  private isZeroFrom(from: number): boolean {
    return tornBytesFrom(this.window, from, this.options.limit, 1) === 0;
  }

  private report(hole: Partial<Hole> & Pick<Hole, "start" | "end" | "reason">): void {
    this.visitor.hole({
      isZero: false,
      isLast: false,
      header: undefined,
      headerBytes: undefined,
      isCorrected: false,
      ...hole,
    });
  }

  private requireVersion(words: Int32Array, word: number): void {
    const version = (words[word + ENTRY_VERSION_WORD] as number) & 0xff;
    if (version <= ENTRY_VERSION) return;
    const { path } = this.options;
    throw new MillraceError("DATA_FORMAT_NEWER", `entry has format ${version}: ${path} byte ${this.at}`, {
      details: { file: path, position: this.at, version, versionMax: ENTRY_VERSION },
    });
  }
}

/** Bytes from `from` up to `limit` or the file's end that are not zero; stops counting at `most`. */
export function tornBytesFrom(window: SegmentWindow, from: number, limit: number, most: number): number {
  let torn = 0;
  for (let offset = from; offset < limit && torn < most; ) {
    const index = window.load(offset, 1, limit);
    if (index < 0) break;
    const end = index + Math.min(window.available(index), limit - offset);
    let at = index;
    // Word by word, since a segment zeroed ahead can have all of its bytes here.
    for (; at % 4 === 0 && at + 4 <= end; at += 4) if (window.words[at >> 2] !== 0) torn += 4;
    for (; at < end; at++) if (window.bytes[at] !== 0) torn++;
    offset += end - index;
  }
  return Math.min(torn, most);
}
