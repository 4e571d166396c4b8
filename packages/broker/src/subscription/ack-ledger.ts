/**
 * Which offsets of one partition are finished: everything below `floor`, and above it a bitmap in pages of 4,096,
 * of which only those with something finished exist. What is finished in order costs no memory. Shard thread only.
 */
export class AckLedger {
  #floor: number;
  #end: number;
  /** Finished offsets above the floor. */
  #above = 0;
  /** By page number. Bits below the floor mean nothing. A page without holes is FULL, which all ledgers share. */
  #pages: Map<number, Uint32Array> = NO_PAGES;
  /** A cleared page for the next time one is needed. */
  #spare: Uint32Array | undefined;

  constructor(floor: number) {
    this.#floor = floor;
    this.#end = floor;
  }

  /** The lowest unfinished offset. */
  get floor(): number {
    return this.#floor;
  }

  /** Nothing is finished from here on. */
  get end(): number {
    return this.#end;
  }

  /** Finished offsets above the floor. */
  get finishedAbove(): number {
    return this.#above;
  }

  /** Bytes of memory, the runtime's own for a page and its place in the map included. */
  get byteSize(): number {
    let bytes = this.#spare === undefined ? 0 : PAGE_BYTES;
    for (const page of this.#pages.values()) bytes += MAP_ENTRY_BYTES + (page === FULL ? 0 : PAGE_BYTES);
    return bytes;
  }

  isFinished(offset: number): boolean {
    if (offset < this.#floor) return true;
    if (offset >= this.#end) return false;
    const number = pageOf(offset);
    const page = this.#pages.get(number);
    if (page === undefined) return false;
    const bit = offset - number * PAGE_RECORDS;
    return ((page[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
  }

  /** Finishes `count` offsets from `offset` on; how many of them were not finished. */
  finish(offset: number, count: number): number {
    const from = Math.max(offset, this.#floor);
    const to = offset + count;
    if (to <= from) return 0;
    if (from > this.#floor) {
      const newly = this.#mark(from, to);
      this.#above += newly;
      if (to > this.#end) this.#end = to;
      return newly;
    }
    const newly = to - from - this.#rise(to);
    // The floor has met what was finished above it.
    if (this.#above > 0) this.#rise(this.nextUnfinished(this.#floor));
    return newly;
  }

  /** The first unfinished offset at or above `from`. */
  nextUnfinished(from: number): number {
    let offset = Math.max(from, this.#floor);
    while (offset < this.#end) {
      const number = pageOf(offset);
      const page = this.#pages.get(number);
      if (page === undefined) return offset;
      const start = number * PAGE_RECORDS;
      if (page !== FULL) {
        const bit = firstClear(page, offset - start);
        if (bit < PAGE_RECORDS) return start + bit;
      }
      offset = start + PAGE_RECORDS;
    }
    return offset;
  }

  /** Forgets everything: finished is what is below `floor`. */
  reset(floor: number): void {
    this.#floor = floor;
    this.#end = floor;
    this.#above = 0;
    this.#pages.clear();
  }

  get encodedLength(): number {
    let length = HEAD_BYTES;
    for (const page of this.#pages.values()) length += PAGE_HEAD_BYTES + 4 * wordsIn(page);
    return length;
  }

  /** Little-endian: floor f64, pages u32; each: number f64, first word u8, words u8 (0: full), the words u32. */
  encodeInto(target: Buffer, start: number): void {
    target.writeDoubleLE(this.#floor, start);
    target.writeUInt32LE(this.#pages.size, start + 8);
    let at = start + HEAD_BYTES;
    for (const [number, page] of this.#pages) {
      const first = firstWord(page);
      const words = wordsIn(page);
      target.writeDoubleLE(number, at);
      target.writeUInt8(first, at + 8);
      target.writeUInt8(words, at + 9);
      at += PAGE_HEAD_BYTES;
      for (let word = first; word < first + words; word += 1, at += 4) {
        target.writeUInt32LE(page[word] as number, at);
      }
    }
  }

  encode(): Buffer {
    const bytes = Buffer.allocUnsafe(this.encodedLength);
    this.encodeInto(bytes, 0);
    return bytes;
  }

  /** @throws RangeError when the bytes are not what encode() gives. */
  static decode(bytes: Uint8Array): AckLedger {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const ledger = new AckLedger(view.getFloat64(0, true));
    let at = HEAD_BYTES;
    for (let left = view.getUint32(8, true); left > 0; left -= 1) {
      const start = view.getFloat64(at, true) * PAGE_RECORDS;
      const words = view.getUint8(at + 9);
      let word = view.getUint8(at + 8);
      at += PAGE_HEAD_BYTES;
      if (words === 0) ledger.finish(start, PAGE_RECORDS);
      for (const end = word + words; word < end; word += 1, at += 4) {
        ledger.#restoreWord(start + word * 32, view.getUint32(at, true));
      }
    }
    if (at !== bytes.length) throw new RangeError(`a ledger of ${at} bytes in ${bytes.length}`);
    return ledger;
  }

  /** What finish() leaves out are bits below the floor, which a page may still have had. */
  #restoreWord(start: number, word: number): void {
    for (let rest = word; rest !== 0; ) {
      const bit = 31 - Math.clz32(rest & -rest);
      // A run of ones at a time: bits above `bit` that are clear end it.
      const zeros = ~rest >>> bit;
      const run = zeros === 0 ? 32 - bit : 31 - Math.clz32(zeros & -zeros);
      this.finish(start + bit, run);
      rest = bit + run >= 32 ? 0 : (rest >>> (bit + run)) << (bit + run);
    }
  }

  /** Moves the floor to `to`; how many finished offsets it passes. */
  #rise(to: number): number {
    const from = this.#floor;
    this.#floor = to;
    if (to >= this.#end) {
      const passed = this.#above;
      this.#end = to;
      this.#above = 0;
      if (this.#pages.size > 0) for (const number of this.#pages.keys()) this.#drop(number);
      return passed;
    }
    let passed = 0;
    for (let number = pageOf(from); number * PAGE_RECORDS < to; number += 1) {
      const page = this.#pages.get(number);
      if (page === undefined) continue;
      const start = number * PAGE_RECORDS;
      passed += countBetween(page, Math.max(from - start, 0), Math.min(to - start, PAGE_RECORDS));
      if (start + PAGE_RECORDS <= to) this.#drop(number);
    }
    this.#above -= passed;
    return passed;
  }

  /** Sets the bits from `from` to `to - 1`; how many were clear. */
  #mark(from: number, to: number): number {
    let newly = 0;
    for (let offset = from; offset < to; ) {
      const number = pageOf(offset);
      const start = number * PAGE_RECORDS;
      const end = Math.min(to, start + PAGE_RECORDS);
      newly += this.#markPage(number, offset - start, end - start);
      offset = end;
    }
    return newly;
  }

  #markPage(number: number, from: number, to: number): number {
    let page = this.#pages.get(number);
    if (page === FULL) return 0;
    if (page === undefined) {
      if (this.#pages === NO_PAGES) this.#pages = new Map();
      page = this.#spare ?? new Uint32Array(PAGE_WORDS + 1);
      this.#spare = undefined;
      this.#pages.set(number, page);
    }
    let newly = 0;
    for (let bit = from; bit < to; ) {
      const word = bit >>> 5;
      const end = Math.min(to, (word + 1) * 32);
      const mask = (0xffff_ffff >>> (32 - (end - bit))) << (bit & 31);
      newly += bitCount(mask & ~(page[word] as number));
      page[word] = (page[word] as number) | mask;
      bit = end;
    }
    page[PAGE_WORDS] = (page[PAGE_WORDS] as number) + newly;
    if (page[PAGE_WORDS] === PAGE_RECORDS) {
      this.#pages.set(number, FULL);
      this.#keep(page);
    }
    return newly;
  }

  #drop(number: number): void {
    const page = this.#pages.get(number) as Uint32Array;
    this.#pages.delete(number);
    if (page !== FULL) this.#keep(page);
  }

  #keep(page: Uint32Array): void {
    if (this.#spare !== undefined) return;
    page.fill(0);
    this.#spare = page;
  }
}

const PAGE_RECORDS = 4096;
const PAGE_WORDS = PAGE_RECORDS / 32;
/** The words, their count, and what the runtime adds to a typed array of that size. */
const PAGE_BYTES = 4 * (PAGE_WORDS + 1) + 252;
const MAP_ENTRY_BYTES = 40;
const HEAD_BYTES = 12;
const PAGE_HEAD_BYTES = 10;

/** Of ledgers that never needed one: there are many. */
const NO_PAGES: Map<number, Uint32Array> = new Map();

/** The words of a page, and behind them how many bits are set. */
const FULL: Uint32Array = new Uint32Array(PAGE_WORDS + 1).fill(0xffff_ffff, 0, PAGE_WORDS);

function pageOf(offset: number): number {
  return Math.floor(offset / PAGE_RECORDS);
}

/** The first clear bit at or behind `from`, or PAGE_RECORDS. */
function firstClear(page: Uint32Array, from: number): number {
  let word = from >>> 5;
  let clear = ~(page[word] as number) & (0xffff_ffff << (from & 31));
  while (clear === 0) {
    word += 1;
    if (word === PAGE_WORDS) return PAGE_RECORDS;
    clear = ~(page[word] as number);
  }
  return word * 32 + 31 - Math.clz32(clear & -clear);
}

/** Set bits from `from` to `to - 1`. */
function countBetween(page: Uint32Array, from: number, to: number): number {
  let count = 0;
  for (let bit = from; bit < to; ) {
    const word = bit >>> 5;
    const end = Math.min(to, (word + 1) * 32);
    count += bitCount((page[word] as number) & ((0xffff_ffff >>> (32 - (end - bit))) << (bit & 31)));
    bit = end;
  }
  return count;
}

function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function firstWord(page: Uint32Array): number {
  let word = 0;
  while (word < PAGE_WORDS && page[word] === 0) word += 1;
  return word;
}

/** Words that are written of a page: none of a full one. */
function wordsIn(page: Uint32Array): number {
  if (page === FULL) return 0;
  let last = PAGE_WORDS - 1;
  while (last > 0 && page[last] === 0) last -= 1;
  return last - firstWord(page) + 1;
}
