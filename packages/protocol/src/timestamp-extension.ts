import { readU32 } from "./big-endian.ts";

const TWO_32 = 0x1_0000_0000;
const NANOSECONDS_PER_MS = 1e6;

/** The content of MessagePack's timestamp extension (type -1), or undefined for a length that it does not have. */
export function readTimestamp(bytes: Uint8Array, at: number, length: number): Date | undefined {
  if (length === 4) return new Date(readU32(bytes, at) * 1000);
  if (length === 8) {
    const high = readU32(bytes, at);
    const seconds = (high & 3) * TWO_32 + readU32(bytes, at + 4);
    return new Date(seconds * 1000 + Math.floor((high >>> 2) / NANOSECONDS_PER_MS));
  }
  if (length === 12) {
    const seconds = (readU32(bytes, at + 4) | 0) * TWO_32 + readU32(bytes, at + 8);
    return new Date(seconds * 1000 + Math.floor(readU32(bytes, at) / NANOSECONDS_PER_MS));
  }
  return undefined;
}
