import { readUtf8 } from "./utf8.ts";

// The keys of maps repeat from record to record. A cached one costs a comparison of its bytes instead of a new string,
// and it is interned already, which halves the time to decode a small object.

const SLOTS = 256;
const CACHED_BYTES_MAX = 32;

interface Name {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** One name a slot, the last one that was read. */
const slots: (Name | undefined)[] = new Array<Name | undefined>(SLOTS).fill(undefined);

/** The string in [start, end), as readUtf8 reads it, from a small cache if it is short and was seen lately. */
export function readName(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length === 0 || length > CACHED_BYTES_MAX) return readUtf8(bytes, start, end);
  const first = bytes[start] as number;
  const middle = bytes[start + (length >>> 1)] as number;
  const last = bytes[end - 1] as number;
  const slot = (length ^ (first << 1) ^ (middle << 3) ^ (last << 5)) & (SLOTS - 1);
  const cached = slots[slot];
  if (cached !== undefined && isSame(cached.bytes, bytes, start, length)) return cached.text;
  const text = readUtf8(bytes, start, end);
  slots[slot] = { bytes: copyOf(bytes, start, length), text };
  return text;
}

/** A Buffer's own slice() would be a view, and the bytes of a frame or ring change under it. */
function copyOf(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) copy[i] = bytes[start + i] as number;
  return copy;
}

function isSame(cached: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (cached.length !== length) return false;
  for (let i = 0; i < length; i += 1) {
    if (cached[i] !== bytes[start + i]) return false;
  }
  return true;
}
