import {
  alignEntry,
  ENTRY_CHECKED_WORDS,
  ENTRY_HEADER_BYTES,
  ENTRY_HEADER_CRC_WORD,
  ENTRY_LENGTH_WORD,
} from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { readFully, type Storage } from "../storage/storage.ts";
import { damagedEntry, type EntrySource } from "./entry-source.ts";

/** Stretches of one read that have places of their own in the output: source offset, bytes, index there. */
const PIECE_NUMBERS = 3;
const PIECES_MAX = 8_192;
/** What is shorter is copied word by word: a call into the engine costs more. */
const WORD_COPY_BYTES_MAX = 128;
const NO_WORDS = new Int32Array(ENTRY_CHECKED_WORDS);

/**
 * Of the last sort on this thread. Were it given up, it would stay until this thread collects garbage, for which a sort gives
 * little reason: there would be several at a time.
 */
let kept = new ArrayBuffer(0);

function keptMemory(bytes: number): ArrayBuffer {
  if (kept.byteLength < bytes) kept = new ArrayBuffer(bytes);
  return kept;
}

/**
 * Output memory of a sort, of which there is one at a time on a thread. Entries are added in the order of the sources, each
 * with its place in the output, and arrive there by reads that take in neighbours and small gaps. Their headers' checksums get
 * the seed of the file that is made: a checksum under another seed differs by a constant, so it changes without looking at
 * what it covers, and still tells of any damage.
 */
export class SortBuffer {
  /** Output from index 0; what is read and still has to be distributed stands behind it. */
  readonly bytes: Buffer;
  readonly words: Int32Array;
  private readonly storage: Storage;
  private readonly readAt: number;
  private readonly pieces: Int32Array = new Int32Array(PIECES_MAX * PIECE_NUMBERS);
  private pieceCount = 0;
  private source: EntrySource | undefined;
  private seed = 0;
  private readStart = 0;
  private readEnd = 0;
  private end = 0;
  private addedBytes = 0;

  /** @param outputBytes what may be added at once. */
  constructor(storage: Storage, outputBytes: number) {
    this.storage = storage;
    this.readAt = alignEntry(outputBytes);
    const buffer = keptMemory(this.readAt + JOURNAL_LIMITS.sortReadBytes);
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
  }

  /** Begins with empty output for a file with this seed. */
  begin(seed: number): void {
    this.seed = seed;
    this.end = 0;
    this.addedBytes = 0;
    this.source = undefined;
    this.pieceCount = 0;
  }

  /** An entry is to stand at `index`; `size` is with the alignment behind it. */
  add(source: EntrySource, offset: number, size: number, index: number): void {
    this.addedBytes += size;
    if (index + size > this.end) this.end = index + size;
    const { pieces } = this;
    if (
      source !== this.source ||
      offset - this.readEnd > JOURNAL_LIMITS.sortGapBytesMax ||
      offset + size - this.readStart > JOURNAL_LIMITS.sortReadBytes
    ) {
      this.read();
      this.source = source;
      this.readStart = offset;
    } else {
      const last = (this.pieceCount - 1) * PIECE_NUMBERS;
      const bytes = pieces[last + 1] as number;
      if (offset === this.readEnd && index === (pieces[last + 2] as number) + bytes) {
        pieces[last + 1] = bytes + size;
        this.readEnd = offset + size;
        return;
      }
      if (this.pieceCount === PIECES_MAX) {
        this.read();
        this.readStart = offset;
      }
    }
    const at = this.pieceCount * PIECE_NUMBERS;
    pieces[at] = offset - this.readStart;
    pieces[at + 1] = size;
    pieces[at + 2] = index;
    this.pieceCount++;
    this.readEnd = offset + size;
  }

  /**
   * Everything that was added is in the output, without gaps.
   * @returns the bytes of it
   */
  finish(): number {
    this.read();
    if (this.addedBytes !== this.end) {
      throw new Error(`sorted output has gaps: entries=${this.addedBytes} end=${this.end}`);
    }
    return this.end;
  }

  /** Reads what the pieces span and puts each where it belongs. */
  private read(): void {
    const { source, pieces, pieceCount, bytes } = this;
    if (pieceCount === 0 || source === undefined) return;
    this.pieceCount = 0;
    const length = this.readEnd - this.readStart;
    const isDirect = pieceCount === 1;
    const target = isDirect ? (pieces[2] as number) : this.readAt;
    const read = readFully(this.storage, source.fd, bytes, target, length, this.readStart);
    if (read < length) throw damagedEntry(source, this.readStart);
    const change =
      checksumWords(NO_WORDS, 0, ENTRY_CHECKED_WORDS, source.seed) ^
      checksumWords(NO_WORDS, 0, ENTRY_CHECKED_WORDS, this.seed);
    for (let at = 0; at < pieceCount * PIECE_NUMBERS; at += PIECE_NUMBERS) {
      const from = pieces[at] as number;
      const size = pieces[at + 1] as number;
      const index = pieces[at + 2] as number;
      if (!isDirect) this.copy(index, this.readAt + from, size);
      if (!this.reseed(index, size, change)) throw damagedEntry(source, this.readStart + from);
    }
  }

  private copy(target: number, from: number, size: number): void {
    if (size > WORD_COPY_BYTES_MAX) {
      this.bytes.copyWithin(target, from, from + size);
      return;
    }
    const { words } = this;
    for (let to = target >> 2, at = from >> 2, end = (from + size) >> 2; at < end; at++, to++) {
      words[to] = words[at] as number;
    }
  }

  /** @returns false when what was read is not the entries that were there before */
  private reseed(index: number, size: number, change: number): boolean {
    const { words } = this;
    const end = (index + size) >> 2;
    let word = index >> 2;
    while (word < end) {
      const length = words[word + ENTRY_LENGTH_WORD] as number;
      if (length < ENTRY_HEADER_BYTES) return false;
      words[word + ENTRY_HEADER_CRC_WORD] = (words[word + ENTRY_HEADER_CRC_WORD] as number) ^ change;
      word += alignEntry(length) >> 2;
    }
    return word === end;
  }
}
