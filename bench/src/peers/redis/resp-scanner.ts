import { ChunkJoiner } from "../raw/chunk-joiner.ts";

const LF = 0x0a;
const DEPTH_MAX = 16;

export interface RespHandler {
  /**
   * A bulk string, bytes[start, end), valid only during the call. `depth` is how many arrays it is in, `index` its place in
   * the innermost one.
   */
  onBulk(bytes: Buffer, start: number, end: number, depth: number, index: number): void;
  /** A whole reply has been read, whatever it is; an error reply throws instead. */
  onReply(): void;
}

/** Cuts what a Redis server sends (RESP2) into replies, however they are split into chunks. */
export class RespScanner {
  readonly #handler: RespHandler;
  readonly #joiner: ChunkJoiner = new ChunkJoiner();
  /** Of each open array: its length, and how many elements have been read. */
  readonly #lengths: Int32Array = new Int32Array(DEPTH_MAX);
  readonly #read: Int32Array = new Int32Array(DEPTH_MAX);
  #depth = 0;

  constructor(handler: RespHandler) {
    this.#handler = handler;
  }

  readonly push = (chunk: Buffer, length: number): void => {
    this.#joiner.push(chunk, length, this.#parse);
  };

  readonly #parse = (bytes: Buffer, length: number): number => {
    let at = 0;
    while (at < length) {
      let lineEnd = at + 1;
      while (lineEnd < length && bytes[lineEnd] !== LF) lineEnd++;
      if (lineEnd >= length) break;
      const next = lineEnd + 1;
      const type = bytes[at];
      if (type === 0x24 /* $ */) {
        const count = integer(bytes, at + 1, lineEnd - 1);
        if (count < 0) at = next;
        else if (next + count + 2 > length) break;
        else {
          const depth = this.#depth;
          this.#handler.onBulk(bytes, next, next + count, depth, this.#read[depth - 1] ?? 0);
          at = next + count + 2;
        }
      } else if (type === 0x2a /* * */) {
        const count = integer(bytes, at + 1, lineEnd - 1);
        at = next;
        if (count > 0) {
          this.#open(count);
          continue;
        }
      } else if (type === 0x2d /* - */) {
        throw new Error(`redis answers: ${bytes.toString("utf8", at + 1, lineEnd - 1)}`);
      } else if (type === 0x3a /* : */ || type === 0x2b /* + */) at = next;
      else throw new Error(`not RESP2: byte=${type}`);
      this.#elementRead();
    }
    return at;
  };

  #open(count: number): void {
    if (this.#depth === DEPTH_MAX) throw new Error(`arrays too deep: depth=${this.#depth}`);
    this.#lengths[this.#depth] = count;
    this.#read[this.#depth++] = 0;
  }

  /** An element is complete; so is each array whose last one it was. */
  #elementRead(): void {
    while (this.#depth > 0) {
      const array = this.#depth - 1;
      const read = (this.#read[array] as number) + 1;
      this.#read[array] = read;
      if (read < (this.#lengths[array] as number)) return;
      this.#depth = array;
    }
    this.#handler.onReply();
  }
}

function integer(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] === 0x2d) return -integer(bytes, start + 1, end);
  let value = 0;
  for (let index = start; index < end; index++) value = value * 10 + (bytes[index] as number) - 0x30;
  return value;
}
