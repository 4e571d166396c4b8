const NEWLINE = 0x0a;

/**
 * Cuts a stream of bytes into lines at "\n". Bytes are kept as they are: a "\r" before the "\n" belongs to the line.
 * A last line without "\n" counts; an input that ends with "\n" has no empty line after it.
 */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #lines = 0;

  /** Lines longer than `lineBytesMax` throw, so that an input without any newline cannot fill the memory. */
  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Lines given out so far. */
  get lines(): number {
    return this.#lines;
  }

  /** The lines that `chunk` completes. They are views of it, or copies where a line spans chunks. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.#check(this.#partBytes + end - start);
      yield this.#complete(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#check(this.#partBytes + chunk.length - start);
      this.#parts.push(chunk.subarray(start));
      this.#partBytes += chunk.length - start;
    }
  }

  /** The last line if the input did not end with a newline. */
  *end(): Generator<Uint8Array, void, undefined> {
    if (this.#partBytes > 0) yield this.#complete(new Uint8Array(0));
  }

  #complete(last: Uint8Array): Uint8Array {
    this.#lines++;
    if (this.#partBytes === 0) return last;
    const line = new Uint8Array(this.#partBytes + last.length);
    let at = 0;
    for (const part of this.#parts) {
      line.set(part, at);
      at += part.length;
    }
    line.set(last, at);
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }

  #check(bytes: number): void {
    if (bytes > this.#lineBytesMax) {
      throw new RangeError(`line ${this.#lines + 1} is longer than ${this.#lineBytesMax} bytes`);
    }
  }
}
