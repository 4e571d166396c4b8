import { ChunkJoiner } from "../raw/chunk-joiner.ts";

const BINARY = 0x82;
const MASKED = 0x80;
/** Of a client's frame with a 64-bit length and a mask. */
export const HEAD_BYTES_MAX = 14;

/**
 * Writes the head of a client's binary frame so that it ends at HEAD_BYTES_MAX, and returns where it begins. The mask is zero:
 * values are stamped in place, and between a bench and its own relay nobody needs it.
 */
export function writeClientHead(target: Buffer, payloadBytes: number): number {
  target.fill(0, HEAD_BYTES_MAX - 4, HEAD_BYTES_MAX);
  const start = payloadBytes < 126 ? 8 : payloadBytes < 65_536 ? 6 : 0;
  target[start] = BINARY;
  if (payloadBytes < 126) target[start + 1] = MASKED | payloadBytes;
  else if (payloadBytes < 65_536) {
    target[start + 1] = MASKED | 126;
    target.writeUInt16BE(payloadBytes, start + 2);
  } else {
    target[start + 1] = MASKED | 127;
    target.writeBigUInt64BE(BigInt(payloadBytes), start + 2);
  }
  return start;
}

/** Cuts the stream of a server into its frames, which are all binary and final. */
export class ServerFrames {
  readonly #joiner: ChunkJoiner = new ChunkJoiner();
  readonly #onFrame: (bytes: Buffer, start: number, end: number) => void;

  /** The bytes are valid only during the call. */
  constructor(onFrame: (bytes: Buffer, start: number, end: number) => void) {
    this.#onFrame = onFrame;
  }

  readonly push = (chunk: Buffer, length: number): void => {
    this.#joiner.push(chunk, length, this.#parse);
  };

  readonly #parse = (bytes: Buffer, length: number): number => {
    let at = 0;
    while (at + 2 <= length) {
      if (bytes[at] !== BINARY) throw new Error(`not a binary frame: byte=${bytes[at]}`);
      let start = at + 2;
      let payload = bytes[at + 1] as number;
      if (payload === 126) {
        start += 2;
        if (start > length) break;
        payload = bytes.readUInt16BE(at + 2);
      } else if (payload === 127) {
        start += 8;
        if (start > length) break;
        payload = Number(bytes.readBigUInt64BE(at + 2));
      }
      if (start + payload > length) break;
      this.#onFrame(bytes, start, start + payload);
      at = start + payload;
    }
    return at;
  };
}
