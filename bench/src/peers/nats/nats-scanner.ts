import { ChunkJoiner } from "../raw/chunk-joiner.ts";

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const DIGIT_0 = 0x30;

export interface NatsHandler {
  /** bytes[start, end) is the payload, valid only during the call. */
  onMessage(bytes: Buffer, start: number, end: number): void;
  onPing(): void;
  onPong(): void;
  /** The server's first line, INFO. */
  onInfo(): void;
}

/**
 * Cuts what a NATS server sends into messages and lines. Protocol: INFO, MSG subject sid [reply] bytes, PING, PONG, +OK,
 * -ERR; headers (HMSG) are never asked for. An -ERR throws.
 */
export class NatsScanner {
  readonly #handler: NatsHandler;
  readonly #joiner: ChunkJoiner = new ChunkJoiner();

  constructor(handler: NatsHandler) {
    this.#handler = handler;
  }

  readonly push = (chunk: Buffer, length: number): void => {
    this.#joiner.push(chunk, length, this.#parse);
  };

  readonly #parse = (bytes: Buffer, length: number): number => {
    let at = 0;
    while (at < length) {
      let lineEnd = at;
      while (lineEnd < length && bytes[lineEnd] !== LF) lineEnd++;
      if (lineEnd === length) break;
      // "M" alone is enough: no other line of a server begins with it.
      if (bytes[at] !== 0x4d) {
        this.#line(bytes, at, lineEnd);
        at = lineEnd + 1;
        continue;
      }
      const payload = lineEnd + 1;
      const end = payload + payloadBytes(bytes, lineEnd - 1);
      if (end + 2 > length) break;
      this.#handler.onMessage(bytes, payload, end);
      at = end + 2;
    }
    return at;
  };

  #line(bytes: Buffer, start: number, end: number): void {
    const line = bytes.toString("latin1", start, bytes[end - 1] === CR ? end - 1 : end);
    if (line === "PONG") this.#handler.onPong();
    else if (line === "PING") this.#handler.onPing();
    else if (line.startsWith("INFO")) this.#handler.onInfo();
    else if (line !== "+OK") throw new Error(`nats-server answers: ${line.slice(0, 200)}`);
  }
}

/** The last number of a line, whose CR is at `at`. */
function payloadBytes(bytes: Buffer, at: number): number {
  let value = 0;
  let scale = 1;
  for (let index = at - 1; bytes[index] !== SPACE; index--) {
    value += ((bytes[index] as number) - DIGIT_0) * scale;
    scale *= 10;
  }
  return value;
}
