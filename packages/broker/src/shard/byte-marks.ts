/** A mark: an offset, and the bytes that had been appended to its partition when it was the next one. */
const MARK_FIELDS = 2;
const MARKS_MAX = 128;

/**
 * About how many bytes of a partition stand below an offset: marks of what was appended, at most 128, between which records
 * count as equally large. Bytes are counted from any point, also below zero. Shard thread only.
 */
export class ByteMarks {
  #marks: Float64Array = new Float64Array(MARKS_MAX * MARK_FIELDS);
  #count = 0;
  #spacingBytes = 65_536;

  /** Both at least what they were. A mark near the last one takes its place. */
  add(offset: number, bytes: number): void {
    const marks = this.#marks;
    const last = (this.#count - 1) * MARK_FIELDS;
    const before = last - MARK_FIELDS;
    const isNear = before >= 0 && bytes - (marks[before + 1] as number) < this.#spacingBytes;
    if (!isNear) {
      if (this.#count === MARKS_MAX) this.#thin();
      this.#count += 1;
    }
    const at = (this.#count - 1) * MARK_FIELDS;
    marks[at] = offset;
    marks[at + 1] = bytes;
  }

  /** Bytes below the offset; of one below the first mark or behind the last, those of the mark. */
  bytesAt(offset: number): number {
    const marks = this.#marks;
    let at = this.#find(offset);
    if (at < 0) return this.#count === 0 ? 0 : (marks[1] as number);
    at *= MARK_FIELDS;
    const bytes = marks[at + 1] as number;
    if (at + MARK_FIELDS >= this.#count * MARK_FIELDS) return bytes;
    const offsets = (marks[at + MARK_FIELDS] as number) - (marks[at] as number);
    if (offsets === 0) return bytes;
    const span = (marks[at + MARK_FIELDS + 1] as number) - bytes;
    return bytes + (span * (offset - (marks[at] as number))) / offsets;
  }

  /** Forgets marks that offsets from here on do not need. */
  trim(offset: number): void {
    const kept = Math.max(0, this.#find(offset));
    if (kept === 0) return;
    this.#marks.copyWithin(0, kept * MARK_FIELDS, this.#count * MARK_FIELDS);
    this.#count -= kept;
  }

  /** The last mark at or below the offset, or -1. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#marks[middle * MARK_FIELDS] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Every second one goes, the first and the last stay. */
  #thin(): void {
    const marks = this.#marks;
    let kept = 0;
    for (let i = 0; i < this.#count; i += 1) {
      if (i % 2 === 1 && i !== this.#count - 1) continue;
      marks.copyWithin(kept * MARK_FIELDS, i * MARK_FIELDS, (i + 1) * MARK_FIELDS);
      kept += 1;
    }
    this.#count = kept;
    this.#spacingBytes *= 2;
  }
}
