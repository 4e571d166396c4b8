import {
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import type { EntrySource } from "./entry-source.ts";
import { checkPayload, walkEntries } from "./entry-walk.ts";
import { NO_ROW, type PartitionRows } from "./partition-rows.ts";
import { SETTLE_LOG_START } from "./settle-jobs.ts";

/** `add`: the list is too long with this source, which counts as never added. */
export const LIST_FULL = -1;
export const LISTED = 0;

const INITIAL_ENTRIES = 16_384;
const NO_ROW_STORED = 0xffff_ffff;

/**
 * Told of an entry that is kept: its partition's row, the number of its source, and where it stands there.
 * @param size with the alignment behind the entry.
 */
export type ListedEntry = (row: number, source: number, offset: number, size: number) => void;

/**
 * The entries of some sources that are worth keeping, in the sources' order, 8 bytes each. Where even the first source
 * has more than sortEntriesMax of them it lists none, and reads the headers again whenever it is asked.
 */
export class EntryList {
  readonly sources: EntrySource[] = [];
  /** Bytes to keep of each row's partition. */
  readonly rowBytes: Float64Array;
  /** Of the largest entry that is kept. */
  entryBytesMax = 0;

  private readonly window: SegmentWindow;
  private readonly rows: PartitionRows;
  private readonly entriesMax: number;
  /** Where the entries of each source begin in the list. */
  private readonly starts: number[] = [];
  private count = 0;
  private isListed = true;
  /** Row of each entry; NO_ROW_STORED for a stretch that is dropped. */
  private entryRows: Uint32Array = new Uint32Array(INITIAL_ENTRIES);
  private sizes: Uint32Array = new Uint32Array(INITIAL_ENTRIES);

  constructor(
    window: SegmentWindow,
    rows: PartitionRows,
    entriesMax: number = JOURNAL_LIMITS.sortEntriesMax,
  ) {
    this.window = window;
    this.rows = rows;
    this.entriesMax = entriesMax;
    this.rowBytes = new Float64Array(rows.count);
  }

  /**
   * Reads and checks all of a source. @param isNeeded it has to be taken, however long the list gets.
   * @returns LISTED or LIST_FULL
   * @throws MillraceError JOURNAL_DAMAGED, DATA_FORMAT_NEWER; the list is then as if the source had not been added
   */
  add(source: EntrySource, isNeeded: boolean): number {
    if (!isNeeded && !this.isListed) return LIST_FULL;
    const first = this.count;
    const { window, rowBytes } = this;
    let isWhole = false;
    try {
      isWhole = walkEntries(window, source, (index, offset, size) => {
        const row = this.rowOf(index >> 2);
        if (row === NO_ROW) return this.list(NO_ROW_STORED, size, first, isNeeded);
        checkPayload(window, source, offset);
        if (!this.list(row, size, first, isNeeded)) return false;
        rowBytes[row] = (rowBytes[row] as number) + size;
        if (size > this.entryBytesMax) this.entryBytesMax = size;
        return true;
      });
    } finally {
      if (!isWhole && this.isListed) this.takeBack(first);
    }
    if (!isWhole) return LIST_FULL;
    this.starts.push(first);
    this.sources.push(source);
    return LISTED;
  }

  /** Visits all entries that are kept, in the sources' order. */
  forEach(visit: ListedEntry): void {
    if (!this.isListed) {
      this.readAgain(visit);
      return;
    }
    const { entryRows, sizes } = this;
    for (let source = 0; source < this.sources.length; source++) {
      let offset = (this.sources[source] as EntrySource).firstAt;
      const end = this.starts[source + 1] ?? this.count;
      for (let i = this.starts[source] as number; i < end; i++) {
        const row = entryRows[i] as number;
        const size = sizes[i] as number;
        if (row !== NO_ROW_STORED) visit(row, source, offset, size);
        offset += size;
      }
    }
  }

  /** The row that keeps the entry at `word` of the window, or NO_ROW. */
  private rowOf(word: number): number {
    const { words } = this.window;
    if (words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH) return NO_ROW;
    const row = this.rows.find(
      readU32(words, word + ENTRY_TOPIC_ID_WORD),
      readU32(words, word + ENTRY_PARTITION_WORD),
    );
    if (row === NO_ROW) return NO_ROW;
    const endOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD) + readU32(words, word + ENTRY_COUNT_WORD);
    return endOffset > this.rows.field(row, SETTLE_LOG_START) ? row : NO_ROW;
  }

  /** @param first entry of the source. @returns false when there is no room, and the source is not needed */
  private list(row: number, size: number, first: number, isNeeded: boolean): boolean {
    if (!this.isListed) return true;
    const last = this.count - 1;
    if (row === NO_ROW_STORED && last >= first && this.entryRows[last] === NO_ROW_STORED) {
      this.sizes[last] = (this.sizes[last] as number) + size;
      return true;
    }
    if (this.count === this.entriesMax) {
      if (isNeeded) this.listNone();
      return isNeeded;
    }
    if (this.count === this.sizes.length) {
      this.entryRows = doubled(this.entryRows);
      this.sizes = doubled(this.sizes);
    }
    this.entryRows[this.count] = row;
    this.sizes[this.count] = size;
    this.count++;
    return true;
  }

  private takeBack(first: number): void {
    for (let i = first; i < this.count; i++) {
      const row = this.entryRows[i] as number;
      if (row !== NO_ROW_STORED) {
        this.rowBytes[row] = (this.rowBytes[row] as number) - (this.sizes[i] as number);
      }
    }
    this.count = first;
  }

  private listNone(): void {
    this.isListed = false;
    this.entryRows = new Uint32Array(0);
    this.sizes = new Uint32Array(0);
  }

  private readAgain(visit: ListedEntry): void {
    for (let number = 0; number < this.sources.length; number++) {
      walkEntries(this.window, this.sources[number] as EntrySource, (index, offset, size) => {
        const row = this.rowOf(index >> 2);
        if (row !== NO_ROW) visit(row, number, offset, size);
        return true;
      });
    }
  }
}

function doubled(array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
