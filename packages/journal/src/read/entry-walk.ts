import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import type { Storage } from "../storage/storage.ts";
import type { AheadStretches } from "./ahead-stretches.ts";
import { ColdWindow } from "./cold-window.ts";
import type { ReadableFile } from "./open-file-cache.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** Where entries of one partition stand in one file. Offsets are those of the file. */
export interface Place {
  readonly file: ReadableFile;
  /** Position of the file's first byte, for errors: of the journal in a segment, 0 in a settled file. */
  readonly base: number;
  /** Stretches with entries of the partition, as offset and length in turn. */
  readonly stretches: readonly number[];
  /** Entries that reach beyond this are not there yet. */
  readonly dataEnd: number;
  /** What was read once stays as it is. */
  readonly immutable: boolean;
}

/** Which entries a walk visits. */
export interface EntryFilter {
  readonly topicId: number;
  readonly partition: number;
  /** Entries that end at or below this offset are passed by. */
  readonly offset: number;
  /** The walk ends at an entry that reaches beyond this offset. */
  readonly limitOffset: number;
}

/** What a visitor says. */
export const GO_ON = 0;
export const STOP = 1;

export interface EntryVisitor {
  /** Bytes that are worth reading ahead of an entry. */
  wantedBytes(): number;
  /**
   * The header at `wordIndex` is good. GO_ON: the payload is read and checked, and `visit` follows; STOP: the walk ends
   * in front of the entry.
   */
  inspect(words: Int32Array, wordIndex: number): number;
  /** The whole entry stands at `index`, until the call returns. */
  visit(words: Int32Array, bytes: Buffer, index: number): void;
}

/** Ends of a walk: every stretch was read. */
export const WALKED = 0;
/** The visitor stopped it. */
export const WALK_STOPPED = 1;
/** It met the filter's limitOffset. */
export const WALK_LIMITED = 2;
/** It met an entry that may not be there yet. */
export const WALK_UNWRITTEN = 3;
/** It met bytes that are not what was written. */
export const WALK_DAMAGED = -1;

/** Stretches that lie as close as this are read together. */
export const GAP_BYTES_MAX = 4_096;
const READ_BYTES_MIN = 16_384;

/** Visits a partition's entries in a place and checks every byte that it shows. One thread. */
export class EntryWalk {
  /** File offset at which the last walk ended: of the entry that stopped it, or of the damage. */
  endedAt = 0;
  private readonly window: ColdWindow;
  /** What the window shows. */
  private file: ReadableFile | undefined;
  private outcome: number = WALKED;

  constructor(storage: Storage, disk: SharedDisk | undefined, ahead: AheadStretches | undefined) {
    this.window = new ColdWindow(storage, disk, ahead);
  }

  /** @returns WALKED, WALK_STOPPED, WALK_LIMITED, WALK_UNWRITTEN or WALK_DAMAGED. @throws what the storage throws */
  run(place: Place, filter: EntryFilter, visitor: EntryVisitor): number {
    const { file, stretches } = place;
    this.endedAt = 0;
    if (file.seed === undefined || stretches.length === 0) return WALK_DAMAGED;
    if (this.file !== file || !place.immutable) {
      this.file = undefined;
      this.window.attach(file.access, place.immutable);
      if (place.immutable) this.file = file;
    }
    try {
      return this.walk(place, filter, visitor);
    } catch (error) {
      this.file = undefined;
      throw error;
    }
  }

  private walk(place: Place, filter: EntryFilter, visitor: EntryVisitor): number {
    const { stretches } = place;
    let i = 0;
    while (i < stretches.length) {
      let at = stretches[i] as number;
      let end = at + (stretches[i + 1] as number);
      for (i += 2; i < stretches.length; i += 2) {
        const next = stretches[i] as number;
        if (next - end > GAP_BYTES_MAX) break;
        end = next + (stretches[i + 1] as number);
      }
      while (at < end) {
        const size = this.step(place, filter, visitor, at, end);
        if (size <= 0) {
          this.endedAt = at;
          return size === 0 ? this.outcome : WALK_DAMAGED;
        }
        at += size;
      }
      this.endedAt = at;
    }
    return WALKED;
  }

  /** @returns bytes of the entry at `at` with its alignment; 0: the walk ends with `outcome`; WALK_DAMAGED */
  private step(place: Place, filter: EntryFilter, visitor: EntryVisitor, at: number, end: number): number {
    const window = this.window;
    const { dataEnd } = place;
    // What is not written yet is not at its place: it may be there in a moment.
    if (at + ENTRY_HEADER_BYTES > dataEnd) return this.stop(WALK_UNWRITTEN);
    // As much as the visitor can take, so that consecutive reads take consecutive bytes from the file.
    const readEnd = Math.min(end, dataEnd, at + Math.max(READ_BYTES_MIN, visitor.wantedBytes()));
    let index = window.load(at, ENTRY_HEADER_BYTES, readEnd);
    if (index < 0) return this.spoilt();
    const word = index >> 2;
    const words = window.words;
    if (!ENTRY_CHECK.header(words, word, place.file.seed as number)) return this.spoilt();
    const length = words[word + ENTRY_LENGTH_WORD] as number;
    const size = alignEntry(length);
    // Entries of other partitions can lie between those of this one.
    if (
      words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH ||
      readU32(words, word + ENTRY_TOPIC_ID_WORD) !== filter.topicId ||
      readU32(words, word + ENTRY_PARTITION_WORD) !== filter.partition
    ) {
      return size;
    }
    const endOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD) + readU32(words, word + ENTRY_COUNT_WORD);
    if (endOffset <= filter.offset) return size;
    if (endOffset > filter.limitOffset) return this.stop(WALK_LIMITED);
    if (at + size > dataEnd) return this.stop(WALK_UNWRITTEN);
    if (visitor.inspect(words, word) === STOP) return this.stop(WALK_STOPPED);
    index = window.load(at, length, readEnd);
    if (index < 0 || !ENTRY_CHECK.payload(window.bytes, window.words, index)) return this.spoilt();
    visitor.visit(window.words, window.bytes, index);
    return size;
  }

  private stop(outcome: number): number {
    this.outcome = outcome;
    return 0;
  }

  /** What was read may be better the next time. */
  private spoilt(): number {
    this.file = undefined;
    return WALK_DAMAGED;
  }
}
