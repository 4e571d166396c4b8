import { type BigIntStats, closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";

const CHUNK_BYTES = 65_536;
/** A line that has no end is cut here. */
const LINE_CHARS_MAX = 1_048_576;
/** Of one look: what is left is there at the next one. */
const CHUNKS_MAX = 16;

/** Reads the lines that are added to a file, also when it makes way for a new one of the same name, or is emptied. */
export class LogFollower {
  readonly #path: string;
  readonly #onLine: (line: string) => void;
  readonly #chunk: Buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #fd: number | undefined;
  #position = 0;
  #decoder = new StringDecoder("utf8");
  #partial = "";

  /** What stands in the file already is passed over. */
  constructor(path: string, onLine: (line: string) => void) {
    this.#path = path;
    this.#onLine = onLine;
    this.#open();
    if (this.#fd !== undefined) this.#position = fstatSync(this.#fd).size;
  }

  /** Takes what has come since the last look. */
  look(): void {
    if (this.#fd === undefined) this.#open();
    if (this.#fd === undefined) return;
    if (fstatSync(this.#fd).size < this.#position) this.#position = 0;
    const isAtEnd = this.#read(this.#fd);
    if (!isAtEnd || !this.#isReplaced(this.#fd)) return;
    this.close();
    this.#open();
    if (this.#fd !== undefined) this.#read(this.#fd);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(): void {
    try {
      this.#fd = openSync(this.#path, "r");
    } catch {
      return;
    }
    this.#position = 0;
    this.#partial = "";
    this.#decoder = new StringDecoder("utf8");
  }

  /** False: there is more. */
  #read(fd: number): boolean {
    for (let chunks = 0; chunks < CHUNKS_MAX; chunks += 1) {
      const bytes = readSync(fd, this.#chunk, 0, CHUNK_BYTES, this.#position);
      if (bytes === 0) return true;
      this.#position += bytes;
      const lines = (this.#partial + this.#decoder.write(this.#chunk.subarray(0, bytes))).split("\n");
      this.#partial = (lines.pop() ?? "").slice(0, LINE_CHARS_MAX);
      for (const line of lines) if (line !== "") this.#onLine(line);
    }
    return false;
  }

  #isReplaced(fd: number): boolean {
    let now: BigIntStats | undefined;
    try {
      now = statSync(this.#path, { bigint: true });
    } catch {
      return false;
    }
    return now.ino !== fstatSync(fd, { bigint: true }).ino;
  }
}
